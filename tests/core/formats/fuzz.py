"""Feeds mutated files to the readers until the time is up: ``python -m tests.core.formats.fuzz``.

Not collected by pytest; the suite has short runs of the same. What breaks a bound or raises is
written to ``--keep`` and ends the run. Times are CPU time, so that a busy machine finds nothing.
"""

import argparse
import io
import itertools
import json
import random
import re
import resource
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from zipfile import ZIP_DEFLATED

import numpy as np

from modelcellar.formats import inspect_stream
from modelcellar.records import Inspection
from tests.core.formats.attacks import (
    MAGIC_0,
    OLD,
    in_safetensors,
    object_array,
    safetensors_pickle,
    zip_with_second_end,
    zip_with_second_record,
)
from tests.core.formats.builders import (
    gguf_file,
    gguf_tensor,
    gguf_text_pair,
    onnx_file,
    safetensors_file,
    tensor_entry,
    tflite_file,
    torch_legacy_file,
    torch_zip_entries,
    zip_file,
)
from tests.core.formats.test_other_formats import (
    coreml_weights,
    ctranslate2_file,
    npy,
    tfjs_document,
    whisper_ggml,
)
from tests.core.formats.test_pickles import attack, pickled, state_dict, tensor, torch_zip

MAX_SECONDS = 2.0
MAX_EXTRA_BYTES = 64 << 20
MAX_OUTCOMES = 4_000
LARGEST_KEPT_BYTES = 4 << 10
_DETAIL = re.compile(r"'[^']*'|\d[\d,.]*")
DICTIONARY = (
    *(
        b"\0" * 8,
        b"\xff" * 8,
        b"\xff\xff\xff\x7f",
        b"\x00\x00\x00\x80",
        b"\x01",
        b"\x80",
        b"{",
        b"]",
    ),
    *(b"GGUF", b"PK\x03\x04", b"PK\x05\x06", b"\x80\x02", b"cos\nsystem\n", b"TFL3", b"\x93NUMPY"),
)


def seeds() -> Mapping[str, list[bytes]]:
    """For each reader a few small files that are all right."""
    metadata = {"ss_tag_frequency": json.dumps({"1_a": {"b": 3}}), "modelspec.title": "t"}
    header = {"__metadata__": metadata, "a.alpha": tensor_entry(0, 4), "b": tensor_entry(4, 9)}
    pairs = [gguf_text_pair("general.architecture", "llama"), gguf_text_pair("general.name", "x")]
    model = pickled(state_dict(weight=tensor("0", 2, 3), bias=tensor("1", 3)))
    return {
        "safetensors": [safetensors_file(header, bytes(9)), safetensors_pickle()],
        "gguf": [
            gguf_file(pairs, [gguf_tensor("a", (32,), 0, 0)], bytes(128)),
            gguf_file([], [gguf_tensor("a", (32,), 0, 0, ">")], bytes(128), order=">"),
        ],
        "pickle": [
            *(pickled(attack()), model, torch_legacy_file(), OLD, pickled(b"}") + OLD),
            *(MAGIC_0 + b"I1001\n.(d." + model + b"(l.", object_array()),
        ],
        "zip": [
            zip_file(torch_zip_entries()),
            torch_zip(model, **{"0": 24, "1": 12}),
            b"\0\0" + zip_file({"m.tflite": tflite_file()}),
            zip_file(torch_zip_entries() | {"archive/DATA.PKL": OLD}),
            zip_file({"a.npy": object_array("[('a', 'O')]"), "x": b"x"}, method=ZIP_DEFLATED),
            zip_with_second_end(),
            zip_with_second_record(),
            in_safetensors(zip_file({"a/data.pkl": OLD, "a/version": b"3"}) + b"more"),
        ],
        "onnx": [onnx_file()],
        "tflite": [tflite_file(), tflite_file() + zip_file({"l.txt": b"cat"})],
        "numpy": [npy(np.zeros((3, 4))), npy(np.array([{}], dtype=object), allow_pickle=True)],
        "ctranslate2": [ctranslate2_file()],
        "coreml": [coreml_weights()],
        "ggml": [whisper_ggml()],
        "tfjs": [tfjs_document()],
    }


def mutations(data: bytes, rng: random.Random, others: list[bytes]) -> Iterator[bytes]:
    """Ever more changed versions of a file."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 12)):
        at = rng.randrange(len(changed) + 1)
        match rng.randrange(6):
            case 0 if changed:
                changed[at % len(changed)] ^= 1 << rng.randrange(8)
            case 1:
                word = rng.choice(DICTIONARY)
                changed[at : at + len(word)] = word
            case 2:
                changed[at:at] = rng.choice(DICTIONARY)
            case 3:
                del changed[at : at + rng.randrange(1, 16)]
            case 4:
                other = rng.choice(others)
                start = rng.randrange(len(other))
                changed[at:at] = other[start : start + rng.randrange(64)]
            case _:
                piece = bytes(changed[at : at + rng.randrange(1, 64)])
                changed[at:at] = piece * rng.randint(1, 200)
        yield bytes(changed)


def outcome(found: Inspection) -> tuple[object, ...]:
    """What the readers made of a file, but for its numbers and names."""
    refusal = found.refusal
    said = (refusal.code, _DETAIL.sub("#", refusal.reason)) if refusal else ()
    verdict = (found.security.verdict, _DETAIL.sub("#", " ".join(found.security.details)))
    kinds = tuple(sorted(found.findings)), tuple(sorted(found.facts))
    return found.format, found.also, _DETAIL.sub("#", found.summary), said, verdict, kinds


def fuzz(reader: str, seconds: float, seed: int, keep: Path) -> tuple[int, int]:
    """Tries one reader's files, and changes those again that had a new outcome.

    Returns how many were tried, and how many outcomes they had. Raises what it finds, with the
    file kept.
    """
    rng = random.Random(seed)
    known = seeds()
    corpus, others = [*known[reader]], list(itertools.chain.from_iterable(known.values()))
    outcomes = set()
    for data in corpus:
        found = inspect_stream(io.BytesIO(data), len(data), with_tensors=True)
        outcomes.add(outcome(found))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    deadline = time.process_time() + seconds
    count = 0
    while time.process_time() < deadline:
        for data in mutations(rng.choice(corpus), rng, others):
            began = time.process_time()
            try:
                found = inspect_stream(io.BytesIO(data), len(data), with_tensors=True)
                json.dumps([dict(found.facts), found.summary, found.security.details])
                took = time.process_time() - began
                extra = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
                assert took < MAX_SECONDS, f"{took:.1f} s"
                assert extra < MAX_EXTRA_BYTES, f"{extra:,} bytes more"
            except BaseException:
                keep.mkdir(parents=True, exist_ok=True)
                (keep / f"{reader}-{seed}-{count}").write_bytes(data)
                raise
            count += 1
            if (new := outcome(found)) not in outcomes and len(outcomes) < MAX_OUTCOMES:
                outcomes.add(new)
                if len(data) <= LARGEST_KEPT_BYTES:
                    corpus.append(data)
            if len(data) > 100_000:
                break
    return count, len(outcomes)


def main() -> None:
    """Runs the named readers, or all, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("readers", nargs="*", choices=[[], *seeds()])
    parser.add_argument("--seconds", type=float, default=600.0, help="for each reader")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--keep", type=Path, default=Path("fuzz-findings"))
    arguments = parser.parse_args()
    for reader in arguments.readers or seeds():
        count, outcomes = fuzz(reader, arguments.seconds, arguments.seed, arguments.keep)
        sys.stdout.write(
            f"{reader}: {count:,} files in {arguments.seconds:.0f} s, {outcomes:,} outcomes, "
            f"seed {arguments.seed}\n"
        )
        sys.stdout.flush()


if __name__ == "__main__":
    main()
