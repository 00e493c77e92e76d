"""Which trial the controller hands out next, and what Optuna is told of those before."""

from pathlib import Path

import pytest
from optuna.trial import FrozenTrial, TrialState

from search.engine.controller import Controller
from search.engine.extra_trials import other_seeds
from search.engine.schedulers.scheduler import Decision
from search.record.events import EpochReported, Event, SearchStarted, TrialEnded, TrialStarted
from search.record.history import History
from search.record.outcomes import Outcome, State
from search.space.options import Confirm, NamedOptions, SearchOptions, StopRules
from search.space.space import Space
from search.space.space_file import read_space

DROPOUT, DIMS = "MODEL.HEAD.DROPOUT", "MODEL.HEAD.HIDDEN_DIMS"
ASHA = NamedOptions("asha", {"reduction_factor": 3.0})
EPOCHS = 9


@pytest.fixture
def space():
    Path("s.yaml").write_text(f"space: {{{DROPOUT}: {{uniform: [0, 0.5]}}, {DIMS}: {{choice: [[], [8]]}}}}\n")
    return Space(read_space("s.yaml").items)


def make(space, events=(), slots=99, epochs=EPOCHS, scheduler=None, **options) -> Controller:
    chosen = {
        "num_samples": 20,
        "sampler": NamedOptions("tpe", {"n_startup_trials": 2}),
        "scheduler": scheduler or NamedOptions("none", {}),
        "max_failures": 0,
    }
    all_options = SearchOptions(**(chosen | options))
    controller = Controller(space, all_options, epochs, events)
    controller.begin(SearchStarted(options=all_options.to_yaml()), slots)
    return controller


def told(controller: Controller) -> list[FrozenTrial]:
    """What Optuna would be told now."""
    return controller.proposals.sampler.as_optuna_trials(controller.proposals.known(controller.known_trials()))


def report(controller: Controller, number: int, epoch: int, value: float, metric: str = "val_score") -> Decision:
    return controller.report(number, {"epoch": epoch, metric: value, "macs": 1, "params": 1})


def ended(
    number: int,
    state: State,
    values: list[float],
    dropout: float = 0.1,
    settings: dict | None = None,
    confirms: int | None = None,
) -> list[Event]:
    """The events of a trial that has reported these values; of a repeat, its SEED is in the settings."""
    params = {DROPOUT: dropout, DIMS: [8]} if confirms is None else settings
    started = TrialStarted(number, "abc", params, {DROPOUT: dropout, DIMS: [8], **(settings or {})}, confirms=confirms)
    rows = [EpochReported(number, {"epoch": epoch, "val_score": value}) for epoch, value in enumerate(values, 1)]
    return [started, *rows, TrialEnded(number, state)]


def log_of(*trials: list[Event], version: int = 3) -> list[Event]:
    return [SearchStarted(version=version), *(event for trial in trials for event in trial)]


def test_trials_are_values_of_the_space(space):
    trial = make(space).next_trial()
    assert trial.number == 0 and trial.rows == [] and trial.state == State.RUNNING
    assert len(trial.id) == 6
    assert 0 <= trial.params[DROPOUT] < 0.5
    assert trial.params[DIMS] in ([], [8])


def test_there_are_no_more_trials_than_slots(space):
    controller = make(space, slots=2)
    assert controller.next_trial() and controller.next_trial()
    assert controller.next_trial() is None and not controller.is_idle()
    controller.end(0, Outcome.FINISHED)
    assert controller.next_trial().number == 2
    assert controller.next_trial() is None
    controller.set_slots(3)
    assert controller.next_trial().number == 3


def test_a_stopped_trial_is_pruned_with_all_its_values(space):
    (trial,) = told(make(space, log_of(ended(0, State.STOPPED, [0.2, 0.3]))))
    assert trial.state == TrialState.PRUNED
    assert trial.intermediate_values == {1: 0.2, 2: 0.3}


@pytest.mark.parametrize(("metric", "best"), [("val_score", 0.9), ("val_loss", 0.5)])
def test_a_finished_trial_is_complete_with_its_best_value(space, metric, best):
    controller = make(space, metric=metric, epochs=2)
    controller.next_trial()
    report(controller, 0, 1, 0.9, metric)
    report(controller, 0, 2, 0.5, metric)
    controller.end(0, Outcome.FINISHED)
    (trial,) = told(controller)
    assert (trial.state, trial.value) == (TrialState.COMPLETE, best)


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.EXTERNAL_FAILURE])
def test_a_failed_trial_violates_a_constraint(space, outcome):
    controller = make(space)
    controller.next_trial()
    report(controller, 0, 1, 0.2)
    controller.end(0, outcome, "it failed", "far")
    (trial,) = told(controller)
    assert (trial.state, trial.constraints) == (TrialState.PRUNED, {"failed": 1.0})
    failed = controller.history.trials[0]
    assert (failed.state, failed.reason, failed.node) == (State.FAILED, "it failed", "far")


def test_an_external_failure_is_tried_again(space):
    controller = make(space, max_failures=2)
    first = controller.next_trial()
    report(controller, 0, 1, 0.2)
    for failures in (1, 2):
        controller.end(0, Outcome.EXTERNAL_FAILURE, "a disk")
        assert (first.state, first.failures) == (State.INTERRUPTED, failures) and told(controller) == []
        assert controller.next_trial() is first and len(first.rows) == 1, "from its last epoch"
    controller.end(0, Outcome.EXTERNAL_FAILURE, "a disk")
    assert controller.next_trial().number == 1
    assert [trial.constraints for trial in told(controller)] == [{"failed": 1.0}]


def test_an_interruption_is_no_failure(space):
    controller = make(space)
    first = controller.next_trial()
    controller.end(0, Outcome.INTERRUPTED)
    assert (first.state, first.failures) == (State.INTERRUPTED, 0)
    assert controller.next_trial() is first


def test_what_fails_by_itself_is_not_tried_again(space):
    controller = make(space, max_failures=2)
    controller.next_trial()
    controller.end(0, Outcome.FAILED, "ValueError")
    assert controller.next_trial().number == 1


def test_what_blocks_the_search_ends_it_and_is_tried_again_when_it_is_resumed(space):
    controller = make(space)
    controller.next_trial()
    controller.end(0, Outcome.BLOCKS_SEARCH, "the disk is full", log="train.log")
    assert controller.should_stop() and controller.next_trial() is None
    assert controller.finish() == "stopped, since no trial can go on: the disk is full (log: train.log)"
    again = make(space, controller.history.events)
    assert again.next_trial().number == 0


def test_the_end_of_a_trial_that_has_ended_says_nothing(space):
    controller = make(space, scheduler=ASHA)
    controller.next_trial()
    assert report(controller, 0, 1, 0.5) == Decision.WAIT
    before = len(controller.history.events)
    controller.end(0, Outcome.EXTERNAL_FAILURE, "its worker died while Ray ended it")
    assert report(controller, 0, 2, 0.5) == Decision.STOP
    assert controller.history.trials[0].state == State.WAITING and len(controller.history.events) == before


def play(controller: Controller, number: int) -> list[tuple[int, dict]]:
    """Runs trials one at a time; their value is their dropout."""
    played = []
    for _ in range(number):
        trial = controller.next_trial()
        played.append((trial.number, trial.params))
        report(controller, trial.number, 1, trial.params[DROPOUT])
        controller.end(trial.number, Outcome.FINISHED)
    return played


def test_one_seed_fixes_the_whole_search(space):
    assert play(make(space, epochs=1), 8) == play(make(space, epochs=1), 8)
    assert play(make(space, epochs=1), 8) != play(make(space, epochs=1, seed=1), 8)


def test_a_resumed_search_goes_on_as_it_would_have(space):
    whole, first = make(space, epochs=1), make(space, epochs=1)
    played = play(whole, 8)
    play(first, 5)
    assert play(make(space, first.history.events, epochs=1), 3) == played[5:]


def test_resuming_keeps_ended_trials_and_hands_out_the_others_first(space):
    log = log_of(
        ended(0, State.DONE, [0.5, 0.9, 0.8]),
        ended(1, State.STOPPED, [0.2]),
        ended(2, State.INTERRUPTED, [0.3, 0.4], dropout=0.33),
        ended(3, State.FAILED, []),
    )
    controller = make(space, log, epochs=3)
    assert [t.state for t in told(controller)] == [TrialState.COMPLETE, TrialState.PRUNED, TrialState.PRUNED]
    assert told(controller)[0].value == 0.9
    assert told(controller)[1].intermediate_values == {1: 0.2}
    first = controller.next_trial()
    assert (first.number, first.id, len(first.rows)) == (2, "abc", 2)
    assert first.params == {DROPOUT: 0.33, DIMS: [8]}
    assert told(controller)[-1].params[DROPOUT] == 0.33
    report(controller, 2, 2, 0.4)  # reported before
    report(controller, 2, 3, 0.6)
    controller.end(2, Outcome.FINISHED)
    assert told(controller)[-1].intermediate_values == {1: 0.3, 2: 0.4, 3: 0.6}
    assert controller.next_trial().number == 4


def test_a_trial_that_waited_goes_on_and_is_known_once(space):
    controller = make(space, scheduler=ASHA, num_samples=4)
    trials = [controller.next_trial() for _ in range(4)]
    assert [report(controller, n, 1, value) for n, value in enumerate([0.2, 0.7])] == [Decision.WAIT] * 2
    assert report(controller, 2, 1, 0.3) == Decision.WAIT
    promoted = controller.next_trial()
    assert promoted is trials[1] and len(promoted.rows) == 1
    assert controller.next_trial() is None
    states = [(trial.state, trial.intermediate_values) for trial in told(controller)]
    assert states == [(TrialState.PRUNED, {1: 0.2}), (TrialState.PRUNED, {1: 0.3}), (TrialState.PRUNED, {1: 0.7})]
    for epoch in range(2, EPOCHS + 1):
        if report(controller, 1, epoch, 0.8) == Decision.WAIT:
            assert controller.next_trial() is promoted
    controller.end(1, Outcome.FINISHED)
    assert told(controller)[-1].state == TrialState.COMPLETE and len(told(controller)) == 3


def test_it_is_idle_when_all_are_made_and_none_may_go_on(space):
    controller = make(space, scheduler=ASHA, num_samples=3, epochs=2)
    for _ in range(3):
        controller.next_trial()
    assert controller.next_trial() is None, "one of the three may have to go on"
    decisions = [report(controller, number, 1, 0.1 * number) for number in range(3)]
    assert decisions == [Decision.WAIT, Decision.WAIT, Decision.CONTINUE], "the best of three"
    assert controller.next_trial() is None and not controller.is_idle()
    report(controller, 2, 2, 0.8)
    controller.end(2, Outcome.FINISHED)
    assert controller.next_trial() is None and controller.is_idle() and not controller.has_more()
    assert controller.finish() == "finished"


def test_a_number_that_is_free_is_used(space):
    log = log_of(*(ended(number, State.DONE, [0.5], dropout=0.1 + number / 100) for number in (1, 3)))
    controller = make(space, log, num_samples=5, slots=1, epochs=1)
    assert [number for number, _ in play(controller, 3)] == [0, 2, 4]
    assert controller.next_trial() is None and controller.is_idle()


def test_what_was_interrupted_goes_on_when_only_repeats_are_still_to_come(space):
    seed = {"SEED": 0}
    log = log_of(
        ended(0, State.DONE, [0.5], settings=seed),
        ended(1, State.INTERRUPTED, [0.9], settings=seed),
        ended(2, State.INTERRUPTED, [0.8], settings={"SEED": other_seeds(0, 1)[0]}, confirms=0),
    )
    controller = make(space, log, epochs=2, confirm=Confirm(top=1, seeds=1), stop=StopRules(target=0.4))
    assert controller.has_more() and not controller.should_stop()
    numbers = []
    for _ in "ab":
        numbers.append(controller.next_trial().number)
        report(controller, numbers[-1], 2, 0.9)
        controller.end(numbers[-1], Outcome.FINISHED)
    repeat = controller.next_trial()
    assert numbers == [1, 2] and (repeat.number, repeat.confirms) == (3, 1), "the best of all is repeated"
    report(controller, 3, 2, 0.9)
    controller.end(3, Outcome.FINISHED)
    assert not controller.has_more()


def test_repeats_come_after_all_samples_and_once(space):
    seed = {"SEED": 42}
    done = [ended(n, State.STOPPED, [score], n / 10, seed) for n, score in enumerate([0.3, 0.9, 0.5])]
    repeat = ended(3, State.DONE, [0.8], settings={"SEED": other_seeds(42, 2)[0]}, confirms=1)
    controller = make(space, log_of(*done, repeat), num_samples=3, confirm=Confirm(top=2, seeds=2))
    found = []
    while trial := controller.next_trial():
        found.append((trial.number, trial.confirms, trial.settings["SEED"]))
    assert found == [
        (4, 1, other_seeds(42, 2)[1]),
        (5, 2, other_seeds(42, 2)[0]),
        (6, 2, other_seeds(42, 2)[1]),
    ]


def test_trials_of_a_log_of_version_2_that_wait_are_told_apart(space):
    before = log_of(ended(0, State.STOPPED, [0.1]), ended(1, State.DONE, [0.5] * EPOCHS), version=2)
    options = SearchOptions(scheduler=ASHA, num_samples=2)
    controller = Controller(space, options, EPOCHS, before)
    controller.begin(SearchStarted(options=options.to_yaml()), slots=1)
    assert [trial.state for trial in controller.history.by_end()] == [State.WAITING, State.DONE]
    resumed = History(controller.history.events)
    assert resumed.version == 3 and resumed.trials[0].end_order == 0, "it keeps its place"


def test_a_trial_of_a_log_of_version_2_that_waits_is_promoted(space):
    stopped = (ended(number, State.STOPPED, [0.1 * number], dropout=0.1 + number / 100) for number in range(3))
    log, options = log_of(*stopped, version=2), SearchOptions(scheduler=ASHA, num_samples=3)
    for _ in range(2):  # also where it was resumed before
        controller = Controller(space, options, EPOCHS, log)
        assert controller.has_more()
        controller.begin(SearchStarted(options=options.to_yaml()), slots=1)
        log = [*controller.history.events]
    assert controller.next_trial().number == 2


def test_an_event_that_cannot_be_kept_halts_the_search_and_none_is_kept_after_it(space):
    kept = []

    def record_until_full(event):
        if len(kept) == 3:
            raise OSError(28, "No space left on device", "events.jsonl")
        kept.append(event)
        controller.history.add(event)

    controller = Controller(space, SearchOptions(num_samples=3), EPOCHS)
    controller.begin(SearchStarted(), slots=2, record=record_until_full)
    controller.next_trial()
    controller.next_trial()
    assert controller.next_trial() is None
    report(controller, 0, 1, 0.5)
    assert controller.should_stop() and len(kept) == 3 and controller.history.trials[0].rows == []
    assert controller.finish() == "stopped, since no trial can go on: events.jsonl: no space left on device"


def test_a_worker_that_dies_after_the_last_report_leaves_a_trial_that_is_done(space):
    controller = make(space, epochs=2, max_failures=0)
    trial = controller.next_trial()
    for epoch in (1, 2):
        report(controller, 0, epoch, 0.5)
    controller.end(0, Outcome.EXTERNAL_FAILURE, "its worker died")
    assert (trial.state, trial.reason) == (State.DONE, "")


def test_a_trial_that_ends_without_its_last_epochs_has_failed(space):
    controller = make(space, epochs=2)
    trial = controller.next_trial()
    report(controller, 0, 1, 0.5)
    controller.end(0, Outcome.FINISHED)
    assert (trial.state, trial.reason) == (State.FAILED, "it ended before its last epoch, and did not say why")


def test_nothing_is_handed_out_once_the_search_ends(space):
    controller = make(space, slots=2)
    controller.next_trial()
    controller.stopping.is_requested = True
    before = len(controller.history.events)
    assert controller.next_trial() is None and len(controller.history.events) == before


def test_a_target_that_was_reached_stays_reached_whatever_becomes_of_its_trial(space):
    controller = make(space, slots=2, confirm=Confirm(top=1, seeds=1), stop=StopRules(target=0.8), max_failures=0)
    for _ in range(2):
        controller.next_trial()
    report(controller, 0, 1, 0.9)
    assert not controller.should_stop(), "the best is still to be confirmed"
    controller.end(0, Outcome.FAILED, "it failed later")
    assert controller.next_trial() is None, "no more samples"


def test_interrupted_trials_are_resumed_in_their_order_and_those_that_fail_again_after_them(space):
    log = log_of(*(ended(number, State.INTERRUPTED, [0.5], dropout=number / 20) for number in (7, 2, 5)))
    controller = make(space, log, slots=1, max_failures=2)
    order = []
    for outcome in (Outcome.EXTERNAL_FAILURE, Outcome.FAILED, Outcome.FAILED, Outcome.FAILED):
        order.append(controller.next_trial().number)
        controller.end(order[-1], outcome, "a disk")
    assert order == [2, 5, 7, 2]


def test_failures_that_ended_a_search_count_no_more_when_it_is_resumed(space):
    first = make(space, slots=1)
    while trial := first.next_trial():
        first.end(trial.number, Outcome.FAILED, "no such file")
    assert first.finish() == "stopped, since 4 trials in a row failed alike: no such file"
    again = Controller(space, SearchOptions(scheduler=NamedOptions("none", {})), EPOCHS, first.history.events)
    assert not again.should_stop() and again.has_more(), "it may have been mended"


def test_a_search_whose_start_cannot_be_written_does_not_begin(space):
    def full(event):
        raise OSError(28, "No space left on device", "events.jsonl")

    controller = Controller(space, SearchOptions(), EPOCHS)
    with pytest.raises(OSError, match="No space left"):
        controller.begin(SearchStarted(), slots=1, record=full)


def test_a_trial_that_its_user_stops_has_ended_and_tells_the_sampler_nothing(space):
    controller = make(space, slots=2)
    first, second = controller.next_trial(), controller.next_trial()
    report(controller, first.number, 1, 0.9)
    report(controller, second.number, 1, 0.1)
    assert len(told(controller)) == 2
    controller.end(first.number, Outcome.STOPPED_BY_USER)
    assert first.state == State.STOPPED_BY_USER and [trial.intermediate_values for trial in told(controller)] == [
        {1: 0.1}
    ]
    assert report(controller, first.number, 2, 0.95) == Decision.STOP and len(first.rows) == 1
    assert controller.next_trial().number == 2, "its slot is free, and it is not resumed"
    assert controller.history.best_trial("val_score") is first, "what it has reached is known all the same"
    resumed = make(space, controller.history.events)
    assert resumed.history.trials[first.number].state == State.STOPPED_BY_USER
    assert resumed.next_trial().number == second.number


def test_a_trial_that_waits_and_is_stopped_by_its_user_is_never_promoted(space):
    controller = make(space, slots=1, scheduler=ASHA, num_samples=3)
    for value in (0.9, 0.5, 0.4):
        trial = controller.next_trial()
        assert report(controller, trial.number, 1, value) == Decision.WAIT
    controller.end(0, Outcome.STOPPED_BY_USER)
    assert controller.history.trials[0].state == State.STOPPED_BY_USER
    again = make(space, controller.history.events, scheduler=ASHA, num_samples=3)
    assert controller.next_trial().number == again.next_trial().number == 1, "its place at the rung goes to the next"
    controller.end(0, Outcome.STOPPED_BY_USER)
    assert sum(isinstance(event, TrialEnded) and event.trial == 0 for event in controller.history.events) == 2
