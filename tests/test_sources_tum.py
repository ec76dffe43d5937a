"""A recording in TUM's layout plays at its own uneven times, in millimetres, whichever of its lists there are."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edgefuse.errors import SourceError
from edgefuse.modalities import KINDS
from edgefuse.sources import open_source
from edgefuse.sources.base import Source
from edgefuse.sources.tum import in_millimetres

RGB_TIMES = ["1305031790.645155", "1305031790.713097", "1305031790.781258"]
DEPTH_TIMES = ["1305031790.640468", "1305031790.709421", "1305031790.909436"]
START_NS = 1_305_031_790_000_000_000
PLAYED = [
    ("depth", 640_468_000),
    ("rgb", 645_155_000),
    ("depth", 709_421_000),
    ("rgb", 713_097_000),
    ("rgb", 781_258_000),
    ("depth", 909_436_000),
]


def colour(k: int) -> np.ndarray:
    return np.random.default_rng(k).integers(0, 256, (12, 16, 3), np.uint8)


def depth(k: int) -> np.ndarray:
    return np.random.default_rng(k).integers(0, 65536, (12, 16)).astype(np.uint16)


def write_pictures(folder: Path, colours: str = "rgb") -> None:
    (folder / colours).mkdir(parents=True)
    (folder / "depth").mkdir()
    for k, (rgb, own) in enumerate(zip(RGB_TIMES, DEPTH_TIMES, strict=True)):
        assert cv2.imwrite(str(folder / colours / f"{rgb}.png"), colour(k)[:, :, ::-1])
        assert cv2.imwrite(str(folder / "depth" / f"{own}.png"), depth(k))


def write_lists(folder: Path) -> None:
    for name, times in (("rgb", RGB_TIMES), ("depth", DEPTH_TIMES)):
        rows = "".join(f"{t} {name}/{t}.png\n" for t in times)
        (folder / f"{name}.txt").write_text(f"# {name} maps\n# timestamp filename\n{rows}")


def write_pairs(folder: Path, name: str = "associations.txt", swapped: bool = False) -> None:
    rows = []
    for rgb, own in zip(RGB_TIMES, DEPTH_TIMES, strict=True):
        halves = [f"{rgb} rgb/{rgb}.png", f"{own} depth/{own}.png"]
        rows.append(" ".join(reversed(halves) if swapped else halves))
    (folder / name).write_text("\n".join(rows))


def told(source: Source) -> dict[str, str]:
    assert all(problem.count == 1 for problem in source.problems)
    return {Path(problem.place).name: problem.what for problem in source.problems}


def played(folder: Path, options: str = "") -> list[tuple[str, int]]:
    source = open_source(f"tum:{folder}{options}")
    samples = list(source.samples())
    assert told(source) == {}
    assert all(sample.arrived_ns == sample.stamp_ns for sample in samples)
    return [(sample.stream, sample.stamp_ns - START_NS) for sample in samples]


def test_lists_of_colour_and_depth_are_played_at_the_times_they_tell(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    write_lists(tmp_path)
    (tmp_path / "groundtruth.txt").write_text("# timestamp tx ty tz qx qy qz qw\n1305031790.6 0 0 0 0 0 0 1\n")
    assert played(tmp_path) == PLAYED
    source = open_source(f"tum:{tmp_path}")
    assert source.topics == {"rgb": "camera", "depth": "depth"}
    assert source.length_s == pytest.approx(0.268968)


@pytest.mark.parametrize("swapped", [False, True])
def test_an_association_list_is_played_whichever_comes_first_in_it(tmp_path: Path, swapped: bool) -> None:
    write_pictures(tmp_path)
    write_pairs(tmp_path, swapped=swapped)
    assert played(tmp_path) == PLAYED


@pytest.mark.parametrize("colours", ["rgb", "color"])
def test_bare_folders_are_played_by_the_names_of_their_files(tmp_path: Path, colours: str) -> None:
    write_pictures(tmp_path, colours)
    assert played(tmp_path) == PLAYED


def test_a_list_from_elsewhere_can_be_named(tmp_path: Path) -> None:
    write_pictures(tmp_path / "drive")
    write_pairs(tmp_path, "short.txt")
    (tmp_path / "short.txt").write_text("\n".join((tmp_path / "short.txt").read_text().splitlines()[:1]))
    assert played(tmp_path / "drive", f"?list={tmp_path / 'short.txt'}") == PLAYED[:2]


def test_pictures_are_as_the_camera_gave_them_and_depth_is_in_millimetres(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    samples = list(open_source(f"tum:{tmp_path}").samples())
    for kind, stream in (("camera", "rgb"), ("depth", "depth")):
        own = [sample.payload for sample in samples if sample.stream == stream]
        assert all(p.dtype == KINDS[kind].dtype for p in own)
        for k, payload in enumerate(own):
            truth = colour(k) if stream == "rgb" else np.array([round(int(v) / 5) for v in depth(k).flat])
            assert np.array_equal(payload, truth.reshape(payload.shape))


def test_depth_in_other_units_is_said_and_what_is_beyond_is_the_largest() -> None:
    units = np.array([[0, 1, 2, 3, 5000, 65535]], np.uint16)
    assert in_millimetres(units, 5000.0).tolist() == [[0, 0, 0, 1, 1000, 13107]]
    assert in_millimetres(units, 1000.0).tolist() == units.tolist()
    assert in_millimetres(units, 100.0).tolist() == [[0, 10, 20, 30, 50000, 65535]]


def test_units_are_an_option(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    samples = open_source(f"tum:{tmp_path}?units_per_m=1000").samples()
    assert np.array_equal(next(samples).payload, depth(0))
    for bad in ("0", "nan", "1e9", "many"):
        with pytest.raises(SourceError, match=r"units_per_m|KEY=VALUE"):
            open_source(f"tum:{tmp_path}?units_per_m={bad}")


def test_what_is_wrong_in_a_list_is_told_by_its_line_and_the_rest_is_played(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    write_lists(tmp_path)
    with (tmp_path / "rgb.txt").open("a") as file:
        file.write("1305031791.0 rgb/gone.png\n")
        file.write("soon rgb/1305031790.713097.png\n")
        file.write("1305031791.0\n")
        file.write("1305031791.0 ../secret.png\n")
        file.write(f"1305031791.0 rgb/{RGB_TIMES[0]}.png\n")
    source = open_source(f"tum:{tmp_path}")
    assert [(s.stream, s.stamp_ns - START_NS) for s in source.samples()] == PLAYED
    assert told(source) == {
        "rgb.txt:6": "names rgb/gone.png, which is not there",
        "rgb.txt:7": "'soon' is no time in seconds",
        "rgb.txt:8": "is neither TIME FILE nor TIME FILE TIME FILE",
        "rgb.txt:9": "'../secret.png' lies in none of the folders rgb, color, colour, depth",
        "rgb.txt:10": f"names rgb/{RGB_TIMES[0]}.png, as line 3 does",
    }


def test_a_picture_that_cannot_be_read_is_told_and_the_rest_is_played(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    cut = tmp_path / "rgb" / f"{RGB_TIMES[1]}.png"
    cut.write_bytes(cut.read_bytes()[:-8])
    flat = tmp_path / "depth" / f"{DEPTH_TIMES[0]}.png"
    assert cv2.imwrite(str(flat), colour(0))
    (tmp_path / "rgb" / "notes.txt").write_text("hello")
    source = open_source(f"tum:{tmp_path}")
    assert len(list(source.samples())) == 4
    assert told(source) == {
        "notes.txt": "is no picture that is called after its time in seconds",
        cut.name: "not a PNG or JPEG, or cut short",
        flat.name: "a picture of 8 bits cannot be one of depth",
    }


def test_pictures_of_topics_that_nobody_wants_are_not_read(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    for path in (tmp_path / "rgb").iterdir():
        path.write_bytes(b"damaged")
    source = open_source(f"tum:{tmp_path}")
    source.want(["depth"])
    assert {sample.stream for sample in source.samples()} == {"depth"}
    assert told(source) == {}


def test_a_folder_without_anything_to_play_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="absent: no such folder"):
        open_source(f"tum:{tmp_path / 'absent'}")
    with pytest.raises(SourceError, match="nothing usable in it"):
        open_source(f"tum:{tmp_path}")
    with pytest.raises(SourceError, match=r"gone.txt: cannot be read: No such file"):
        open_source(f"tum:{tmp_path}?list={tmp_path / 'gone.txt'}")
    write_pictures(tmp_path)
    write_pairs(tmp_path, "associations.txt")
    write_pairs(tmp_path, "fr1_assoc.txt")
    with pytest.raises(SourceError, match=r"2 association lists, name one as \?list=FILE"):
        open_source(f"tum:{tmp_path}")


def test_a_recording_of_which_no_picture_can_be_read_is_an_error_of_its_own(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    for path in tmp_path.glob("*/*.png"):
        path.write_bytes(b"damaged")
    with pytest.raises(SourceError, match="nothing usable in it, 6 problems"):
        list(open_source(f"tum:{tmp_path}").samples())
