"""Which failures are a trial's own, which are tried again, and which end the search."""

import errno
import os

import pytest
import torch

from configs.errors import ConfigError
from search.faults import CAN_BE_RETRIED, NOTHING_GOES, OWN, fault_of, hanging


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (ConfigError("no such part"), OWN),
        (ZeroDivisionError(), OWN),
        (MemoryError(), CAN_BE_RETRIED),
        (torch.OutOfMemoryError("CUDA out of memory"), CAN_BE_RETRIED),
        (RuntimeError("CUDA error: device-side assert triggered"), CAN_BE_RETRIED),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), CAN_BE_RETRIED),
        *((OSError(number, os.strerror(number), "latest.pt"), CAN_BE_RETRIED) for number in (errno.EIO, errno.ENOENT)),
        *(
            (OSError(number, os.strerror(number), "latest.pt"), NOTHING_GOES)
            for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)
        ),
    ],
    ids=repr,
)
def test_an_error_tells_what_kind_of_failure_it_is(error, fault):
    assert fault_of(error) == fault


def test_a_log_tells_that_this_try_hung(tmp_path):
    log = tmp_path / "train.log"
    log.write_text("epoch 1\nTimeout (0:00:04)!\nThread 0x1 (most recent call first):\n")
    assert hanging(log, 0) == "it reported nothing for 0:00:04 and was ended; its log says where it hung"
    assert hanging(log, log.stat().st_size) is None, "an earlier try hung"
