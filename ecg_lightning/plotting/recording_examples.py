"""This module shows what a diagnosis looks like in recordings: a page for each, with what is known of its waves."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ecg_lightning.ecg import SignalFormat
from ecg_lightning.plotting.class_beat import REGION_STYLES, ClassBeat, check_beats
from ecg_lightning.plotting.paper import STANDARD_SCALE, PaperScale, SampleTimes
from ecg_lightning.plotting.recording_page import Excerpt, Painter, RecordingPage
from ecg_lightning.plotting.sheet import MARGIN_MM, Sheet, TextLine, heading, text_height
from ecg_lightning.plotting.stack import MARK_MM, SWATCH_MM, draw_region, draw_swatch

LINE_MM: Final = 4.0
PAGE_GAP_MM: Final = 4.0


def recordings_figure(
    groups: Mapping[str, Sequence[ClassBeat]],
    signal_format: SignalFormat,
    *,
    title: str,
    subtitle: str | None = None,
    scale: PaperScale = STANDARD_SCALE,
) -> Figure:
    """Draw recordings under each other on ECG paper, to one scale.

    Args:
        groups: Heading of a group, such as ``with the diagnosis``, -> its recordings.
        signal_format: Leads, rate and samples of all of them.
        title: Bold heading: the diagnosis, see ``class_title``.
        subtitle: Smaller heading below the title.
        scale: Paper speed and gain.

    Returns:
        A figure of the size that is to scale when it is printed at 100 %; save it with ``save_figure``.

    Raises:
        ValueError: No recording, one of another format, or a recording or region that can't be drawn.
    """
    examples = [(group, example) for group, some in groups.items() for example in some]
    other = [example.name for _, example in examples if example.signal_format != signal_format]
    if other or not examples:
        raise ValueError(f"expected recordings of {signal_format}, got {', '.join(other) or 'none'}")
    traces = check_beats([example for _, example in examples])
    pages = [RecordingPage.laid_out(recording, signal_format, scale, MARK_MM) for recording in traces]
    inner = pages[0].width - 2 * MARGIN_MM
    head = heading(title, subtitle, inner)
    captions = [_caption(group, example, inner) for group, example in examples]
    regions = {name for _, example in examples for name, mask in example.checked_regions().items() if mask.any()}
    heights = [text_height(caption) + page.height + PAGE_GAP_MM for caption, page in zip(captions, pages, strict=True)]
    top = MARGIN_MM + text_height(head) + 1.0
    sheet = Sheet.of_size(pages[0].width, top + sum(heights) + LINE_MM * (1 + len(regions)) + MARGIN_MM)
    sheet.add_lines(MARGIN_MM, MARGIN_MM, head)
    for (_, example), page, caption, height in zip(examples, pages, captions, heights, strict=True):
        sheet.add_lines(MARGIN_MM, top, caption)
        page.draw(sheet, top + text_height(caption), _marks(example, scale))
        top += height
    _draw_legend(sheet, top, pages[0].note, [name for name in REGION_STYLES if name in regions])
    return sheet.figure


def _caption(group: str, example: ClassBeat, width: float) -> list[TextLine]:
    words = f"{group}: {', '.join(example.caption.splitlines())}"
    return [TextLine(line.text, line.points, "bold") for line in heading(None, words, width * 0.93)]  # bold is wider


def _marks(example: ClassBeat, scale: PaperScale) -> Painter:
    """Return what marks the regions of one example."""
    regions = example.checked_regions()

    def paint(axes: Axes, excerpt: Excerpt, trace: NDArray[np.float64], times: SampleTimes) -> None:
        for region, mask in regions.items():
            part = mask[excerpt.lead, excerpt.first : excerpt.end]
            draw_region(axes, trace, part, REGION_STYLES[region], scale, times)

    return paint


def _draw_legend(sheet: Sheet, top: float, note: str, regions: Sequence[str]) -> None:
    """Write the scale, and what the marks mean."""
    sheet.add_text(MARGIN_MM, top, note)
    for index, region in enumerate(regions, start=1):
        line = top + index * LINE_MM
        draw_swatch(sheet, MARGIN_MM, line, REGION_STYLES[region])
        sheet.add_text(MARGIN_MM + SWATCH_MM[0] + 1.5, line, REGION_STYLES[region].meaning)
