"""The number of streams that is found for drives of which only the speed is known.

The curves are the shapes of the twelve measurements in borgbackup/borg#10161.
"""

import pytest

from modelcellar.io.climbing import Climb

HDD = {1: 100, 2: 60, 4: 40, 8: 35, 16: 30}
USB_STICK = {1: 100, 2: 104, 4: 103, 8: 100, 16: 100}
SATA_SSD = {1: 100, 2: 180, 4: 250, 8: 255, 16: 250}
NETWORK = {1: 100, 2: 195, 4: 380, 8: 700, 16: 1100}
LATE_GAIN = {1: 100, 2: 101, 4: 400, 8: 400, 16: 400}


@pytest.mark.parametrize(
    ("speeds", "most", "found"),
    [
        (HDD, 16, 1),
        (USB_STICK, 16, 1),
        (SATA_SSD, 16, 4),
        (NETWORK, 16, 16),
        (NETWORK, 6, 6),
        (NETWORK, 1, 1),
        # One that would pay only later is not looked for: to look costs a drive that seeks dearly.
        (LATE_GAIN, 16, 1),
    ],
)
def test_goes_as_far_as_it_pays(speeds: dict[int, int], most: int, found: int) -> None:
    climb = Climb(1, most)
    tries = 0
    while not climb.settled:
        climb.measured(speeds.get(climb.streams, 600) * 1000, 1000.0)
        tries += 1
        assert tries <= 6
    assert climb.streams == found


def test_begins_where_it_is_told_and_stays_where_it_settled() -> None:
    climb = Climb(4, 16)
    climb.measured(100, 1.0)
    assert climb.streams == 8
    climb.measured(100, 1.0)
    assert (climb.streams, climb.settled) == (4, True)
    climb.measured(10_000, 1.0)
    assert climb.streams == 4


def test_a_measurement_of_no_time_is_none() -> None:
    climb = Climb(1, 16)
    climb.measured(0, 0.0)
    assert (climb.streams, climb.settled) == (1, False)
