"""What the doctor says about a library, by check."""

from pathlib import Path

from modelcellar.config import Settings
from modelcellar.doctor.examination import examine, mend
from modelcellar.doctor.findings import Finding, Repair, Status

Told = dict[str, list[Finding]]


class Doctor:
    """Examines one library; every finding that is not ``ok`` must say something."""

    def __init__(self, root: Path, settings: Settings) -> None:
        self.root = root
        self.settings = settings

    def examine(self) -> Told:
        """The findings by check."""
        told: Told = {}
        for finding in examine(self.root, self.settings):
            assert finding.summary
            told.setdefault(finding.id, []).append(finding)
        return told

    def bad(self) -> dict[str, list[Status]]:
        """Only what is wrong."""
        return {
            name: [one.status for one in found if one.status is not Status.OK]
            for name, found in self.examine().items()
            if any(one.status is not Status.OK for one in found)
        }

    def one(self, check: str) -> Finding:
        """The only finding of a check."""
        (finding,) = self.examine()[check]
        return finding

    def mend(self) -> list[Repair]:
        """What --fix does."""
        return list(mend(examine(self.root, self.settings)))
