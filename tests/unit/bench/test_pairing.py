from __future__ import annotations

from bench.pairing import Pairs, measure_pairs


def test_the_ratio_is_the_median_of_the_pairs_ratios_not_the_ratio_of_the_medians() -> None:
    pairs = Pairs(ours=(1.0, 2.0, 30.0), theirs=(2.0, 8.0, 10.0))
    assert pairs.ratio() == 0.5
    assert (pairs.our_median(), pairs.their_median(), pairs.count()) == (2.0, 8.0, 3)


async def test_the_order_alternates_and_the_first_pair_does_not_count() -> None:
    order: list[str] = []

    async def ours() -> float:
        order.append("o")
        return float(len(order))

    async def theirs() -> float:
        order.append("t")
        return float(len(order))

    pairs = await measure_pairs(ours, theirs, count=3)
    assert "".join(order) == "ot" + "ot" + "to" + "ot"
    assert pairs == Pairs(ours=(3.0, 6.0, 7.0), theirs=(4.0, 5.0, 8.0))
