"""The shipped processes under attack by strangers: who may reach a port may fill it, and must not stop it."""

import os
from collections.abc import Iterator

from bench.figure import Benchmark, Figure, say
from bench.strangers import REVIEWS, STATUS
from bench.under_attack import Course, Victim, attacked, percentile, victims

COMMAND = "python -m bench attack"
MOST_MILLIS = 50.0


def run(quick: bool) -> Iterator[Figure]:
    seconds = 3.0 if quick else 8.0
    with victims() as all_of_them:
        for victim in all_of_them:
            attacks = [("calm", "no attack", victim.status_port)]
            attacks += [("reviews", name, victim.review_port) for name in REVIEWS if victim.review_port]
            attacks += [
                ("status", name, port) for name in STATUS for port in (victim.status_port, victim.probe_port)
            ]
            courses = []
            for kind, name, port in attacks:
                say(f"{victim.name}: {name}")
                courses.append(attacked(victim, kind, name, port, seconds))
                where = {"calm": "", "reviews": "reviews, "}.get(kind, "metrics, ")
                where = "probes, " if kind == "status" and port == victim.probe_port else where
                yield _answers(f"{victim.name}, {where}{name}", courses[-1], victim)
            yield from _totals(victim, courses)


def _answers(name: str, course: Course, victim: Victim) -> Figure:
    """How fast the API server is answered, or the kubelet where there are no reviews."""
    of = course.reviews if victim.review_port else course.probes
    what = "reviews" if victim.review_port else "probes"
    note = f"p99 of {len(of)} {what}, median {percentile(of, 50) * 1e3:.1f} ms"
    if course.missed or course.failed:
        note += f"; {len(course.missed)} reviews and {len(course.failed)} probes not answered"
    return Figure(
        name=name,
        value=round(percentile(of, 99) * 1e3, 1),
        unit="ms",
        at_most=MOST_MILLIS,
        command=COMMAND,
        note=f"{note}; at most {course.peak_mib:.0f} MiB",
    )


def _totals(victim: Victim, courses: list[Course]) -> Iterator[Figure]:
    yield Figure(
        name=f"{victim.name}: highest resident memory",
        value=round(max(course.peak_mib for course in courses), 1),
        unit="MiB",
        at_most=victim.limit_mib,
        command=COMMAND,
        note=f"the shipped memory limit; load {os.getloadavg()[0]:.0f} on {os.cpu_count()} cores",
    )
    missed = [why for course in courses for why in (*course.missed, *course.failed)]
    number = sum(len(course.reviews) + len(course.probes) for course in courses) + len(missed)
    yield Figure(
        name=f"{victim.name}: reviews and probes not answered",
        value=len(missed),
        unit="",
        at_most=0,
        command=COMMAND,
        note=f"of {number}; a review has 2 s, a probe 5 s" + (f"; first: {missed[0]}" if missed else ""),
    )


BENCHMARK = Benchmark("attack", "The webhook, controller and agent under attack", run, by_name_only=True)
