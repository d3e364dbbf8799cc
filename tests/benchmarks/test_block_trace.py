"""The parser of the kernel's trace, on lines as different kernels write them."""

from benchmarks.block_trace import parse
from benchmarks.hdd_model import Request

RECORDED = """\
# tracer: nop
#
# entries-in-buffer/entries-written: 9/9   #P:2
#
#                                _-----=> irqs-off/BH-disabled
#           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION
              cp-512     [001] d..1.   941.320116: block_rq_issue: 7,0 RA 1310720 () 278528 + 2560 none,0,0 [cp]
          python-4711    [000] .....   941.320300: block_rq_issue: 7,0 R 4096 () 26616 + 8 none,0,0 [python]
     kworker/u8:3-96     [001] .....   941.420300: block_rq_issue: 7,0 WS 524288 () 299008 + 1024 [kworker/u8:3]
   jbd2/loop0-8-1203     [001] .....   941.520300: block_rq_issue: 7,0 FWFSM 4096 () 524432 + 8 none,0,0 [jbd2/loop0-8]
   jbd2/loop0-8-1203     [001] .....   941.520400: block_rq_issue: 7,0 FF 0 () 0 + 0 none,0,0 [jbd2/loop0-8]
   jbd2/loop0-8-1203     [001] .....   941.520500: block_rq_issue: 7,0 WS 0 () 18446744073709551615 + 0 none,0,0 [jbd2/loop0-8]
   a thread [1]-77   (   70) [000] .....   941.620300: block_rq_issue: 7,0 WM 4096 () 8 + 8 none,0,0 [a thread [1]]
          fstrim-99      [000] .....   941.620301: block_rq_issue: 7,0 D 1048576 () 4096 + 2048 none,0,0 [fstrim]
          <idle>-0       [000] ..s1.   941.620400: block_rq_complete: 7,0 RA () 278528 + 2560 none,0,0 [0]
          <idle>-0       [000] ..s1.   941.620500: block_rq_issue: 7,0 W 512 () 77 + 1 none,0,0 [swapper/0]
"""  # noqa: E501


def test_reads_and_writes_in_the_order_of_their_issue() -> None:
    assert parse(RECORDED.splitlines()) == [
        Request(278528, 2560, False, 512),
        Request(26616, 8, False, 4711),
        Request(299008, 1024, True, 96),
        Request(524432, 8, True, 1203),
        Request(8, 8, True, 77),
        Request(77, 1, True, 0),
    ]


def test_a_trace_without_requests() -> None:
    assert parse(RECORDED.splitlines()[:6]) == []
