"""Lightning's command line, which makes nothing that the user has not typed."""

from pathlib import Path

from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI

from ecg_lightning.command_line.checked_parser import check_parsed, check_words, typed_by
from ecg_lightning.command_line.typed_words import TypedWords, as_mapping
from ecg_lightning.models.classifier import EcgClassifier
from ecg_lightning.models.config_values import class_names
from ecg_lightning.models.hyper_parameters import check_hyper_parameters
from ecg_lightning.runs.checkpoints import read_checkpoint


class CheckedCLI(LightningCLI):
    """Checks what the user has typed, what lies in run folders, and the checkpoint, each before anything is made."""

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parse what the user has typed; what lies in a run folder is checked first, and everything afterwards."""
        words = TypedWords.of(args)
        self._check_typed(words)
        with typed_by(words):
            super().parse_arguments(parser, args)
        self._check_parsed()

    def _check_typed(self, words: TypedWords) -> None:
        check_words(words, self._subcommand_parsers.values())

    def _parse_ckpt_path(self) -> None:
        """Take the checkpoint's hyperparameters, once it is known that they ask for nothing else than the user did."""
        self._check_checkpoint()
        super()._parse_ckpt_path()
        self._check_parsed()

    def _check_parsed(self) -> None:
        stage = self.config.get("subcommand")
        if stage is not None:
            check_parsed(self.config[stage], self._subcommand_parsers[stage])

    def _check_checkpoint(self) -> None:
        """The classes that it names are the project's, or those that this command's configuration names."""
        config = self.config[self.config["subcommand"]]
        path = config.get("ckpt_path")
        if path is None or not Path(path).is_file():
            return
        typed, content = as_mapping(config), read_checkpoint(Path(path))
        # the network that the user has typed, with every argument, may be rebuilt whatever it is made of
        network = content.get("hyper_parameters", {}).get("network")
        same = {"network": network} if network == typed["model"]["network"] else {}
        check_hyper_parameters(content, path, EcgClassifier, class_names(typed), given=same)
