"""What a trial leaves behind in its process is put back."""

import logging
import os
import random

import cv2
import numpy as np
import torch

from configs.loader import load_cfg
from trainable.process_state import ProcessState, configure_process, rng_state, set_rng_state


def test_everything_is_put_back():
    torch.manual_seed(3)
    state = ProcessState()
    expected = torch.rand(3)
    torch.manual_seed(3)
    mask = os.umask(0o022)
    os.umask(mask)
    benchmark, threads, handlers, folder = (
        torch.backends.cudnn.benchmark,
        torch.get_num_threads(),
        list(logging.getLogger().handlers),
        os.getcwd(),
    )
    torch.manual_seed(5)
    torch.set_num_threads(threads + 1)
    torch.set_default_dtype(torch.float64)
    torch.set_grad_enabled(False)
    torch.backends.cudnn.benchmark = not benchmark
    torch.backends.cudnn.enabled = False
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.mkldnn.enabled = False
    torch.set_autocast_enabled("cpu", True)
    cv2.setUseOptimized(False)
    os.umask(0o777)
    torch.use_deterministic_algorithms(True)
    np.seterr(all="raise")
    os.environ["LEFT_BEHIND"] = "1"
    os.chdir("/")
    logging.getLogger().addHandler(logging.NullHandler())
    state.restore()
    assert torch.get_num_threads() == threads
    assert torch.get_default_dtype() == torch.float32
    assert torch.is_grad_enabled()
    assert torch.backends.cudnn.benchmark == benchmark
    assert torch.backends.cudnn.enabled and torch.backends.cudnn.allow_tf32
    assert not torch.backends.cudnn.deterministic
    assert torch.backends.mkldnn.enabled and not torch.is_autocast_enabled("cpu")
    assert cv2.useOptimized()
    assert os.umask(mask) == mask
    assert torch.equal(torch.rand(3), expected)
    assert not torch.are_deterministic_algorithms_enabled()
    assert np.geterr()["divide"] != "raise"
    assert "LEFT_BEHIND" not in os.environ
    assert os.getcwd() == folder
    assert logging.getLogger().handlers == handlers


def test_random_numbers_go_on_where_they_were():
    state = rng_state()
    first = (torch.rand(3), np.random.rand(3), random.random())
    set_rng_state(state)
    assert torch.equal(first[0], torch.rand(3))
    assert np.array_equal(first[1], np.random.rand(3))
    assert first[2] == random.random()


def test_the_config_decides_about_threads_and_kernels():
    before = ProcessState()
    configure_process(load_cfg(None, ["NUM_THREADS", "2", "DETERMINISTIC", "true"]))
    assert torch.get_num_threads() == 2
    assert torch.are_deterministic_algorithms_enabled()
    before.restore()
