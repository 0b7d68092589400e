"""Joint policies: the grammar, its errors, and every named policy in the shared cluster."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustersim.baselines.joint import EXAMPLE, joint_name, joint_policies, parse_joint, role_policy
from clustersim.baselines.kpa import Kpa
from clustersim.baselines.polca import Polca
from clustersim.baselines.registry import CONTROL_POLICIES, POLICIES
from clustersim.errors import ConfigError
from clustersim.policy import Policy, run
from clustersim.scenarios.cluster_control import ClusterControl
from clustersim.scenarios.control_roles import CAPPER, MIGRATOR, PLACER, ROLES, SCALER
from clustersim.traces.control_scenario import control_scenario

NAMED = [(role, name) for role in ROLES for name in CONTROL_POLICIES[role]]

joint_choices = st.fixed_dictionaries({role: st.sampled_from(sorted(CONTROL_POLICIES[role])) for role in ROLES})


def test_a_joint_policy_names_one_policy_per_role() -> None:
    assert parse_joint(EXAMPLE) == {PLACER: "fgd", SCALER: "kpa", CAPPER: "polca", MIGRATOR: "none"}
    players = joint_policies(EXAMPLE)
    assert tuple(players) == ROLES
    assert isinstance(players[SCALER](), Kpa)
    assert isinstance(players[CAPPER](), Polca)


@given(joint_choices, st.permutations(ROLES), st.booleans())
def test_the_order_of_the_roles_and_blanks_do_not_matter(
    names: Mapping[str, str], order: list[str], blanks: bool
) -> None:
    text = (" , " if blanks else ",").join(f"{role}{' = ' if blanks else '='}{names[role]}" for role in order)
    assert parse_joint(text) == names
    assert tuple(parse_joint(text)) == ROLES
    assert joint_name(parse_joint(text)) == ",".join(f"{role}={names[role]}" for role in ROLES)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "placer=fgd,scaler=kpa,migrator=none",
            "leaves nobody for capper: capper is one of no-cap, 1-threshold-low-priority, 1-threshold-all, polca",
        ),
        ("placer=fgd", "leaves nobody for scaler, capper, migrator: scaler is one of fixed, fixed-peak, hpa"),
        ("placr=fgd", "there is no role 'placr'; did you mean 'placer'? roles are placer, scaler, capper, migrator"),
        ("zzz=x," + EXAMPLE, "there is no role 'zzz'; roles are"),
        (EXAMPLE + ",scaler=hpa", "gives the role 'scaler' twice, to 'kpa' and 'hpa'"),
        ("fgd", "holds 'fgd', which is no role=policy"),
        ("", "holds '', which is no role=policy"),
        ("placer=,scaler=kpa", "holds 'placer=', which is no role=policy"),
        (EXAMPLE + ",", "holds '', which is no role=policy"),
        (EXAMPLE.replace("fgd", "fdg"), "placer has no policy 'fdg'; did you mean 'fgd'? known are random, first-fit"),
        (EXAMPLE.replace("kpa", "polca"), "scaler has no policy 'polca'; it is one of the capper's; known are fixed,"),
        (EXAMPLE.replace("none", "zzz"), "migrator has no policy 'zzz'; known are none, consolidate, ha"),
    ],
)
def test_a_bad_joint_policy_is_answered_with_what_is_allowed(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        joint_policies(text)
    assert said in str(error.value)


def test_every_placement_policy_can_place_here() -> None:
    assert CONTROL_POLICIES[PLACER] == POLICIES["pod-placement"]


@pytest.mark.parametrize(("role", "name"), NAMED)
def test_every_name_makes_a_fresh_policy(role: str, name: str) -> None:
    make = role_policy(role, name)
    assert make() is not make()


# --- in the shared cluster


@pytest.fixture(scope="module")
def scenario() -> ClusterControl:
    return control_scenario("small", duration_s=240.0)


def transcript(scenario: ClusterControl, players: Mapping[str, Policy], seed: int) -> list[str]:
    simulation = scenario.build(seed)
    run(simulation, players)
    return list(simulation.log.lines())


@pytest.mark.parametrize(("role", "name"), NAMED)
def test_every_policy_plays_and_repeats_itself_after_having_played(
    scenario: ClusterControl, role: str, name: str
) -> None:
    players = {other: make() for other, make in joint_policies(EXAMPLE).items()}
    players[role] = role_policy(role, name)()
    first = transcript(scenario, players, seed=7)
    assert len(first) > 50
    transcript(scenario, players, seed=8)
    assert transcript(scenario, players, seed=7) == first
