"""The rows of the demo's picture, each with one scale for all nodes.

Without samples there is a gap: no line is drawn across it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import Final, NamedTuple

from overbook_sandbox.demo import picture_parts as parts
from overbook_sandbox.demo.picture_parts import Point, Scale
from overbook_sandbox.demo.story import PAID_POD, SILENCE_SECONDS, SampleEvent, Span, Story

MEBIBYTE: Final = 1 << 20
_COLOURS: Final = {
    "vm-a": parts.BLUE,
    "vm-b": parts.SKY,
    "vm-c": parts.VERMILLION,
    PAID_POD: parts.GREEN,
    "web": parts.PURPLE,
    "batch": parts.ORANGE,
}
_STACK: Final = (PAID_POD, "batch", "web", "vm-a", "vm-b", "vm-c")
"""The order from the bottom: first the pod that should not change, last the one that runs wild."""
_PACE_SECONDS: Final = 1.0
"""The time over which the pace is averaged, since the number of units in one sample is too coarse."""
_LABEL_HEIGHT: Final = 11.0


class Label(NamedTuple):
    """A label beside a plot, at the height of the named part."""

    y: float
    words: str
    colour: str


class Drawing(NamedTuple):
    """The pieces of a row for one node, the texts on top, and the labels beside it."""

    pieces: list[str]
    words: list[str]
    labels: list[Label]


class PictureRow(NamedTuple):
    """A row, with its scale in the row's unit, and the function that draws a story."""

    title: str
    height: float
    low: float
    high: float
    ticks: Sequence[float]
    draw: Callable[[Story, Scale, Scale], Drawing]

    def scale(self, top: float) -> Scale:
        """The row's scale if its plot starts at `top`."""
        return Scale(self.low, self.high, top + self.height, top)


class Layer(NamedTuple):
    """A layer of a stack, with the function for its value at a sample."""

    name: str
    colour: str
    value: Callable[[SampleEvent], float]


def rows(stories: Sequence[Story]) -> list[PictureRow]:
    """All rows, each with one scale for all stories."""
    ram = max((story.node.memory_bytes or 0 for story in stories), default=0) / MEBIBYTE
    swap = max((story.node.swap_bytes or 0 for story in stories), default=0) / MEBIBYTE
    return [
        _stack_row("Memory in RAM, by pod (MiB)", 150, stories, _memory_layers, ("RAM", ram)),
        _stack_row("Swap in use, by pod (MiB)", 100, stories, _swap_layers, ("swap", swap)),
        _traffic_row(stories),
        _stall_row(stories),
        _pace_row(),
    ]


def stretches(story: Story) -> Iterator[list[SampleEvent]]:
    """The samples between silences."""
    current: list[SampleEvent] = []
    for sample in story.samples:
        if current and sample.at - current[-1].at > SILENCE_SECONDS:
            yield current
            current = []
        current.append(sample)
    if current:
        yield current


def _stack_row(
    title: str,
    height: float,
    stories: Sequence[Story],
    layers_of: Callable[[Story], list[Layer]],
    limit: tuple[str, float],
) -> PictureRow:
    name, size = limit
    tallest = max(
        (
            sum(layer.value(sample) for layer in layers_of(story))
            for story in stories
            for sample in story.samples
        ),
        default=0.0,
    )
    high = max(size, tallest, 100.0) * 1.12

    def draw(story: Story, x: Scale, y: Scale) -> Drawing:
        drawing = _stacked(story, layers_of(story), x, y)
        if size:
            drawing.pieces.append(
                parts.line(Point(x.start, y(size)), Point(x.end, y(size)), parts.INK, width=1.2, dash="5 3")
            )
            drawing.words.append(
                parts.text(Point(x.start + 4, y(size) - 4), f"{name}: {size:.0f} MiB", halo=True)
            )
        return drawing

    return PictureRow(title, height, 0, high, parts.ticks(high, 4), draw)


def _stacked(story: Story, layers: Sequence[Layer], x: Scale, y: Scale) -> Drawing:
    drawing = Drawing([], [], [])
    for index, layer in enumerate(layers):
        bands = [_band(samples, layers[:index], layer, x, y) for samples in stretches(story)]
        drawing.pieces.extend(
            parts.area([high for high, _ in band], [low for _, low in band], layer.colour)
            for band in bands
            if any(low.y > high.y for high, low in band)
        )
        if not bands:
            continue
        high, low = bands[-1][-1]
        if low.y - high.y >= 1:
            drawing.labels.append(Label((low.y + high.y) / 2 + 4, layer.name, layer.colour))
        elif place := _roomiest(bands, parts.text_width(layer.name)):
            middle = Point(place.x, place.y + 4)
            drawing.words.append(parts.text(middle, layer.name, anchor="middle", bold=True, halo=True))
    return drawing


def _band(
    samples: Sequence[SampleEvent], below: Sequence[Layer], layer: Layer, x: Scale, y: Scale
) -> list[tuple[Point, Point]]:
    """The upper and the lower edge of a layer."""
    edges = []
    for one in samples:
        base = sum(under.value(one) for under in below)
        edges.append((Point(x(one.at), y(base + layer.value(one))), Point(x(one.at), y(base))))
    return edges


def _roomiest(bands: Sequence[Sequence[tuple[Point, Point]]], width: float) -> Point | None:
    """The middle of a layer's longest part that is thick and long enough for a label."""
    longest: list[Point] = []
    for band in bands:
        for thick, run in groupby(band, lambda edge: edge[1].y - edge[0].y >= _LABEL_HEIGHT):
            middles = [Point(high.x, (high.y + low.y) / 2) for high, low in run]
            if thick and (not longest or _length(middles) > _length(longest)):
                longest = middles
    return longest[len(longest) // 2] if longest and _length(longest) >= width else None


def _length(points: Sequence[Point]) -> float:
    return points[-1].x - points[0].x


def _pod_layers(story: Story, size: Callable[[SampleEvent, str], int]) -> list[Layer]:
    order = {name: index for index, name in enumerate(_STACK)}
    names = sorted(story.pod_names, key=lambda name: order.get(name, -1))

    def layer(name: str) -> Layer:
        return Layer(name, _COLOURS.get(name, parts.FAINT), lambda sample: size(sample, name) / MEBIBYTE)

    return [layer(name) for name in names]


def _memory_layers(story: Story) -> list[Layer]:
    def size(sample: SampleEvent, name: str) -> int:
        pod = sample.pods.get(name)
        return (pod.memory_bytes or 0) if pod else 0

    def rest(sample: SampleEvent) -> float:
        if story.node.memory_bytes is None or sample.memory_available_bytes is None:
            return 0.0
        used = story.node.memory_bytes - sample.memory_available_bytes
        return max(0, used - sum(size(sample, name) for name in sample.pods)) / MEBIBYTE

    return [Layer("the node", parts.GREY, rest), *_pod_layers(story, size)]


def _swap_layers(story: Story) -> list[Layer]:
    def size(sample: SampleEvent, name: str) -> int:
        pod = sample.pods.get(name)
        return (pod.swap_bytes or 0) if pod else 0

    return _pod_layers(story, size)


def _traffic_row(stories: Sequence[Story]) -> PictureRow:
    samples = [sample for story in stories for sample in story.samples]
    inward = max((one.swap_in_pages_per_second or 0 for one in samples), default=0.0)
    outward = max((one.swap_out_pages_per_second or 0 for one in samples), default=0.0)
    peak = max(inward, outward, 100.0) * 1.08
    positive = parts.ticks(peak, 2)

    def draw(story: Story, x: Scale, y: Scale) -> Drawing:
        pieces = []
        for samples in stretches(story):
            base = [Point(x(one.at), y(0)) for one in samples]
            ins = [Point(x(one.at), y(one.swap_in_pages_per_second or 0)) for one in samples]
            outs = [Point(x(one.at), y(-(one.swap_out_pages_per_second or 0))) for one in samples]
            pieces += [parts.area(ins, base, parts.BLUE), parts.area(outs, base, parts.ORANGE)]
        pieces.append(parts.line(Point(x.start, y(0)), Point(x.end, y(0)), parts.FAINT, width=0.8))
        labels = [
            Label(y(peak / 2) + 4, "swapped in", parts.BLUE),
            Label(y(-peak / 2) + 4, "swapped out", parts.ORANGE),
        ]
        return Drawing(pieces, [], labels)

    marks = [-value for value in reversed(positive[1:])] + positive
    return PictureRow("Swap traffic (pages/s), in upwards, out downwards", 110, -peak, peak, marks, draw)


def _stall_row(stories: Sequence[Story]) -> PictureRow:
    peaks = [_known(one.stall_full_percent for one in story.samples) for story in stories]
    high = min(108.0, max(10.0, *(max(peak, default=0.0) for peak in peaks)) * 1.15) if peaks else 10.0

    def draw(story: Story, x: Scale, y: Scale) -> Drawing:
        pieces = []
        for samples in stretches(story):
            points = [Point(x(one.at), y(one.stall_full_percent or 0)) for one in samples]
            pieces.append(parts.area(points, [Point(point.x, y(0)) for point in points], parts.VERMILLION))
        peak = max(_known(one.stall_full_percent for one in story.samples), default=None)
        labels = [Label(y(high / 2), f"peak {peak:.0f} %", parts.VERMILLION)] if peak is not None else []
        return Drawing(pieces, [], labels)

    return PictureRow(
        "Memory stall: share of time in which nothing ran for want of memory (%)",
        80,
        0,
        high,
        parts.ticks(high, 3),
        draw,
    )


def _pace_row() -> PictureRow:
    def draw(story: Story, x: Scale, y: Scale) -> Drawing:
        alone = story.pace_alone()
        if not alone:
            at = Point((x.start + x.end) / 2, y(50))
            missing = parts.text(at, "not known: the pace alone was not measured", anchor="middle", halo=True)
            return Drawing([], [missing], [])
        pieces = [parts.line(Point(x.start, y(100)), Point(x.end, y(100)), parts.FAINT, dash="5 3")]
        for samples in stretches(story):
            paces = ((one.at, story.pace(Span(one.at - _PACE_SECONDS, one.at))) for one in samples)
            points = [Point(x(at), y(100 * pace / alone)) for at, pace in paces if pace is not None]
            floor = [Point(point.x, y(0)) for point in points]
            pieces += [parts.area(points, floor, parts.GREEN, opacity=0.18), parts.curve(points, parts.GREEN)]
        return Drawing(pieces, _standstill(story, x, y), [Label(y(100) + 4, "pace alone", parts.FAINT)])

    title = f"Pace of {PAID_POD}, the Guaranteed VM (% of its pace alone, mean over 1 s)"
    return PictureRow(title, 100, 0, 125, (0, 50, 100), draw)


def _standstill(story: Story, x: Scale, y: Scale) -> list[str]:
    wild = story.span("wild")
    longest = story.longest_standstill(wild.start) if wild else None
    if wild is None or longest is None:
        return []
    words = f"longest standstill: {longest:.1f} s"
    at = min(x(wild.start) + 6, x.end - parts.text_width(words))
    return [parts.text(Point(at, y(52)), words, bold=True, halo=True)]


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]
