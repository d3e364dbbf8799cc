"""The page on speed and its charts, from invented results."""

import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import plots, publish, report, results
from benchmarks.figures import Figure
from benchmarks.results import Bar, Result, Row, SeekResult, SeekRow

PAGE = publish.DOCS / publish.PAGE
SVG = "{http://www.w3.org/2000/svg}"


def row(name: str, ratio: float, *, ours: bool = False) -> Row:
    return Row(name, ours, Figure(ratio, ratio - 0.02, ratio + 0.02, 15), 1500, 1, 1, 1, 1, 1 << 20)


def contest(case: str = "large written", *, place: str = "disk", scale: float = 1.0) -> Result:
    return Result(
        case,
        "Copy and both digests, one file of 1 GiB",
        place,
        "ext4",
        place == "disk",
        15,
        2,
        scale,
        [row("extension", 0.9, ours=True), row("F1 & <co>", 1.0), row("rclone", 8.2)],
        [Bar("extension at most 0.95 x F1", "0.90", True), Bar("cellar", "1.20", False)],
        ["not there: rhash"],
        "extension",
        "rclone",
        Figure(1.1, 1.05, 1.2, 15),
        "slower",
    )


def seek(place: str, disks: tuple[str, ...]) -> SeekResult:
    rows = [
        SeekRow(name, name == "extension", disk, Figure(share, share, share, 3), 9.0, seeks)
        for disk in disks
        for name, share, seeks in (("extension", 0.95, 20.0), ("pool", 0.3, None))
    ]
    return SeekResult("hdd same", "Eight files, same disk", place, 3, 1.0, rows)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    results.save_machine(folder, {"processor": "EPYC", "cores": "2"})
    for one in (
        contest(),
        contest(place="xfs"),
        contest("small durable"),
        seek(results.MODEL, ("usual", "cached")),
        seek(results.CLOCK, ("slow",)),
    ):
        results.save(folder, one)
    return folder


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / publish.PAGE).write_text(PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    return folder


def test_results_survive_being_saved(saved: Path) -> None:
    contests, seeking = results.load(saved)
    assert contest() in contests
    assert seek(results.MODEL, ("usual", "cached")) in seeking
    assert results.load_machine(saved)["cores"] == "2"


def test_the_page_is_filled_and_can_be_filled_again(saved: Path, docs: Path) -> None:
    (docs / "speed-gone.svg").write_text("old", encoding="utf-8")
    written = publish.publish(saved, docs)
    first = written[0].read_text(encoding="utf-8")
    assert "Run `nox -s bench`.\n" not in first
    assert "| **extension** | 0.90 (0.88-0.92) | 1,500 |" in first
    assert (
        "extension is slower than the best opponent, rclone: 1.10 (1.05-1.20) of its time" in first
    )
    assert first.index("**missed**") < first.index("| met |")
    assert "15 rounds counted, 2 discarded" in first
    assert "| pool | cached | 30% | 9.0 |  |" in first
    publish.publish(saved, docs)
    assert written[0].read_text(encoding="utf-8") == first
    assert sorted(path.name for path in docs.glob("*.svg")) == [
        "speed-hdd-same.svg",
        "speed-large-written.svg",
        "speed-small-durable.svg",
    ]


def test_a_modelled_disk_on_which_an_opponent_is_nearer_to_the_ideal_is_a_loss() -> None:
    won = seek(results.MODEL, ("usual",))
    assert report.losses([], [won]).startswith("In no contest")
    ahead = replace(won.rows[1], efficiency=Figure(0.96, 0.96, 0.96, 3))
    lost = replace(won, rows=[won.rows[0], ahead])
    told = report.losses([contest()], [lost])
    assert "slower than the best opponent" in told
    assert told.endswith(
        "- Eight files, same disk, usual: pool at 96% of the ideal, modelcellar at 95%."
    )


def test_every_chart_of_the_page_exists(saved: Path, docs: Path) -> None:
    page, *charts = publish.publish(saved, docs)
    text = page.read_text(encoding="utf-8")
    assert charts
    for chart in charts:
        assert f"({chart.name})" in text
        assert ElementTree.parse(chart).getroot().tag == f"{SVG}svg"


def test_a_trial_is_never_published(tmp_path: Path, docs: Path) -> None:
    results.save(tmp_path / "trial", contest(scale=0.01))
    results.save_machine(tmp_path / "trial", {})
    with pytest.raises(publish.PublishError, match="trial"):
        publish.publish(tmp_path / "trial", docs)
    assert publish.main([str(tmp_path / "trial"), "--draft", str(tmp_path / "draft")]) == 0
    assert (tmp_path / "draft" / "speed-large-written.svg").exists()
    assert publish.main([str(tmp_path / "nothing")]) == 1


def test_a_page_without_its_markers_is_refused() -> None:
    with pytest.raises(publish.PublishError, match="markers of bars"):
        publish.fill("no markers", {"bars": "text"})


def test_a_chart_is_well_formed_and_to_scale() -> None:
    bars = [
        plots.Bar("ours <&>", 0.5, 0.4, 0.6, True, "0.50 x"),
        plots.Bar("level", 1.0, 0.9, 1.1, False, "1.00 x"),
        plots.Bar("far away", 9.0, 8.0, 10.0, False, "9.00 x"),
    ]
    drawing = plots.bar_chart(
        "A & B",
        [plots.Panel("disk", bars), plots.Panel("other", bars[:1])],
        reference=1.0,
        reference_text="F1",
        longest=4.0,
    )
    root = ElementTree.fromstring(drawing)
    widths = [
        float(bar.get("width", "0"))
        for bar in root.iter(f"{SVG}rect")
        if bar.get("class") in {"ours", "peer"}
    ]
    assert widths[1] == pytest.approx(2 * widths[0], abs=0.2)
    assert widths[2] == plots.CHART_WIDTH
    assert widths[3] == widths[0]
    texts = {text.text for text in root.iter(f"{SVG}text")}
    assert {"A & B", "ours <&>", "far away", "9.00 x", "disk", "other"} <= texts
    assert "prefers-color-scheme: dark" in drawing
    assert all(
        float(line.get(at, "0")) <= plots.WIDTH
        for line in root.iter(f"{SVG}line")
        for at in ("x1", "x2")
    )


def test_charts_are_named_after_their_cases() -> None:
    assert report.slug("Large, written") == "speed-large-written"
    assert set(report.charts([contest(place="xfs")], [])) == set()
