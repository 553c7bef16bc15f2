from moment.errors import ConfigurationError, DependencyError, Fault, InvalidRequest, MomentError, StepMissing


def test_a_missing_step_names_the_command_that_makes_it() -> None:
    error = StepMissing("no features are built", run="moment features build")

    assert str(error) == "no features are built; run `moment features build` first"
    assert isinstance(error, DependencyError)


def test_a_configuration_error_lists_every_fault_at_once() -> None:
    error = ConfigurationError(
        "the catalogue has 2 faults",
        faults=[Fault("shop.yaml:3", "no such column"), Fault("shop.yaml:9", "slots must be positive")],
    )

    assert str(error).splitlines() == [
        "the catalogue has 2 faults",
        "  shop.yaml:3: no such column",
        "  shop.yaml:9: slots must be positive",
    ]


def test_an_invalid_request_carries_a_stable_code_and_the_field() -> None:
    error = InvalidRequest("no such channel", code="unknown-channel", field="channel")

    assert (error.code, error.field) == ("unknown-channel", "channel")
    assert isinstance(error, MomentError)
