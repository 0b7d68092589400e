"""The event log: columns, frame and transcript say the same."""

from __future__ import annotations

import numpy as np

from clustersim.eventlog import EventLog


def written() -> EventLog:
    log = EventLog(("arrive", "bind"))
    log.add(0.0, 0, 0)
    log.add(1.5, 1, 7, place=0, value=3)
    log.add(1.5, 0, 2**40, place=12)
    return log


def test_events_stay_in_the_order_in_which_they_were_written() -> None:
    log = written()
    assert len(log) == 3
    assert [column.tolist() for column in log.columns()] == [
        [0.0, 1.5, 1.5],
        [0, 1, 0],
        [0, 7, 2**40],
        [-1, 0, 12],
        [0, 3, 0],
    ]


def test_a_transcript_has_one_readable_line_per_event() -> None:
    assert written().lines() == [
        "t=0.000 arrive subject=0 place=-1 value=0",
        "t=1.500 bind subject=7 place=0 value=3",
        "t=1.500 arrive subject=1099511627776 place=12 value=0",
    ]


def test_the_frame_names_the_kinds_and_keeps_whole_numbers_whole() -> None:
    frame = written().to_frame()
    assert list(frame.columns) == ["time_s", "kind", "subject", "place", "value"]
    assert frame["kind"].tolist() == ["arrive", "bind", "arrive"]
    assert frame["subject"].tolist() == [0, 7, 2**40]
    assert [frame[name].dtype for name in ("subject", "place", "value")] == [np.int64] * 3


def test_an_empty_log_has_empty_columns() -> None:
    log = EventLog(("arrive",))
    assert (len(log), log.lines(), len(log.to_frame())) == (0, [], 0)
    assert [len(column) for column in log.columns()] == [0] * 5


def test_the_columns_are_a_copy() -> None:
    log = written()
    log.columns()[0][:] = 99.0
    assert log.columns()[0].tolist() == [0.0, 1.5, 1.5]
