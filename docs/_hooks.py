"""Tables of the site that are made from the code: the experiments, and the columns of their tables."""

import re
from typing import Any

from ecg_lightning.experiments.experiment import Experiment
from ecg_lightning.experiments.registry import EXPERIMENTS
from ecg_lightning.storage.table_schema import TableSchema


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put the tables in the place of their marks, such as ``<!-- experiments -->``."""
    for mark, made in (("experiments", experiments_table), ("columns", columns_tables)):
        if (whole := f"<!-- {mark} -->") in markdown:
            markdown = markdown.replace(whole, made())
    return markdown


def experiments_table() -> str:
    """One row an experiment, in Markdown."""
    head = "| | question | by the key, or the command | every ECG | table |\n|---|---|---|---|---|"
    return "\n".join([head, *(_row(one) for one in EXPERIMENTS)])


def columns_tables() -> str:
    """The columns of every table that an experiment writes, in Markdown."""
    return "\n\n".join(_columns(table) for one in EXPERIMENTS for table in one.tables)


def _row(one: Experiment) -> str:
    number = re.match(r"Experiment (\d+)", one.title)
    key, below = (one.name, "") if one.callback else ("compare", "runs/<study>/")
    tables = [table.name for table in one.tables] or list(one.report_tables)
    names = ", ".join(f"`{name}`" for name in tables) + ("" if one.callback else " (of the study)")
    return f"| {number[1] if number else ''} | {one.question} | `{key}` | `{below}{one.stores}` | {names} |"


def _columns(table: TableSchema) -> str:
    rows = [f"| `{name}` | {column.unit} | {column.meaning} |" for name, column in table.columns.items()]
    return "\n".join([f"### {table.name}", "", "| column | unit | meaning |", "|---|---|---|", *rows])
