"""A small dense network over the hashed features, so that the worth of depth is a number. Needs `jax`."""

from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.ftrl import Delayed
from models.hashed import HashedClassifier, Rows, State

HIDDEN = 64, 32
CHUNK = 256  # examples of one call of a program: one shape, so that each program is compiled once
MAX_PARAMETER = 1e6


class Parameters(NamedTuple):
    """Weights of the network, or one AdaGrad accumulator each; float32 arrays."""

    table: Any
    """[2**bits, 64]: what a bucket adds to the first layer; of accumulators [2**bits]: one a bucket."""
    bias_1: Any
    """[64]"""
    weight_2: Any
    """[64, 32]"""
    bias_2: Any
    """[32]"""
    weight_3: Any
    """[32]"""
    bias_3: Any
    """[]"""


class Kernels(NamedTuple):
    """Compiled programs over a chunk."""

    predict: Any
    learn: Any


@cache
def _kernels() -> Kernels:
    import jax
    from jax import lax
    from jax import numpy as jnp

    def logit(rows: Any, dense: Any, values: Any) -> Any:
        bias_1, weight_2, bias_2, weight_3, bias_3 = dense
        first = jax.nn.relu(values @ rows + bias_1)
        return jax.nn.relu(first @ weight_2 + bias_2) @ weight_3 + bias_3

    def predict(parameters: Any, buckets: Any, values: Any, count: Any) -> Any:
        def one(i: Any, predictions: Any) -> Any:
            rows = parameters.table[buckets[i]]
            return predictions.at[i].set(jax.nn.sigmoid(logit(rows, parameters[1:], values[i])))

        return lax.fori_loop(0, count, one, jnp.zeros(CHUNK))

    def learn(
        parameters: Any, squares: Any, buckets: Any, values: Any, labels: Any, weights: Any, count: Any,
        alpha: Any, fake_negative: Any,
    ) -> Any:  # fmt: skip
        def one(i: Any, carry: Any) -> Any:
            parameters, squares, predictions, rejected = carry
            at = buckets[i]
            rows, dense = parameters.table[at], parameters[1:]
            out, (row_slopes, dense_slopes) = jax.value_and_grad(logit, (0, 1))(rows, dense, values[i])
            p = jax.nn.sigmoid(out)
            scale = weights[i] * jnp.where(
                fake_negative, jnp.where(labels[i], 1.0 + p, (1.0 - p) * (1.0 + p)), 1.0
            )
            error = (p - labels[i]) * scale
            row_gradients = error * row_slopes
            row_squares = squares.table[at] + jnp.mean(row_gradients**2, axis=1)
            row_steps = -alpha * row_gradients / jnp.sqrt(row_squares + 1e-8)[:, None]
            gradients = [error * slope for slope in dense_slopes]
            dense_squares = [kept + g**2 for kept, g in zip(squares[1:], gradients, strict=True)]
            steps = [
                -alpha * g / jnp.sqrt(kept + 1e-8) for kept, g in zip(dense_squares, gradients, strict=True)
            ]
            # Whether all would stay finite: comparisons with NaN are false.
            fine = jnp.all(jnp.abs(rows + row_steps) < MAX_PARAMETER) & jnp.all(jnp.isfinite(row_squares))
            for kept, step, square in zip(dense, steps, dense_squares, strict=True):
                fine &= jnp.all(jnp.abs(kept + step) < MAX_PARAMETER) & jnp.all(jnp.isfinite(square))
            parameters = Parameters(
                parameters.table.at[at].add(jnp.where(fine, row_steps, 0.0)),
                *(jnp.where(fine, kept + step, kept) for kept, step in zip(dense, steps, strict=True)),
            )
            squares = Parameters(
                squares.table.at[at].add(jnp.where(fine, jnp.mean(row_gradients**2, axis=1), 0.0)),
                *(
                    jnp.where(fine, after, kept)
                    for kept, after in zip(squares[1:], dense_squares, strict=True)
                ),
            )
            return parameters, squares, predictions.at[i].set(p), rejected + jnp.where(fine, 0, 1)

        return lax.fori_loop(0, count, one, (parameters, squares, jnp.zeros(CHUNK), 0))

    return Kernels(jax.jit(predict), jax.jit(learn, donate_argnums=(0, 1)))


class DenseNetwork(HashedClassifier):
    """A network 64-32-1 with rectified units over an embedding bag, float32, learned example by example.

    The bag is the sum of the buckets' rows times the features' values, so that the first layer is a dense
    one over 2**bits sparse inputs. Learned by AdaGrad, one accumulator a row of the bag and one a weight
    elsewhere. A value ``x`` enters as sign(x) log2(1 + |x|), so that 1 stays 1. An example with a weight below 0 takes an
    earlier one back to first order, as in ``models.fwfm.FwFM``; one whose update would not leave the
    parameters finite is not applied and counts in ``rejected``.

    Raises ModuleNotFoundError where the extra `dense` is not installed.

    Parameters
    ----------
    bits
        Features are hashed to ``2**bits`` buckets of 260 bytes.
    features
        Most features of an example; more raise ValueError.
    alpha
        Learning rate.
    seed
        Of the initial parameters.
    delayed
        As for ``models.ftrl.FTRLProximal``.

    Attributes
    ----------
    parameters, squares
        ``Parameters``, and the sums of their squared gradients.
    touched
        uint8[2**bits]: 1 where a bucket was in an example since ``take_touched``.
    rejected
        Examples that were not applied.

    References
    ----------
    [^1]: [Covington, P., Adams, J. and Sargin, E., 2016, September. Deep neural networks for YouTube recommendations. In Proceedings of the 10th ACM conference on recommender systems (pp. 191-198)](https://research.google.com/pubs/archive/45530.pdf)

    """  # noqa: E501

    def __init__(
        self,
        bits: int = 18,
        features: int = 64,
        alpha: float = 0.02,
        seed: int = 0,
        delayed: Delayed = "none",
    ) -> None:
        if not (1 <= bits <= 26 and 1 <= features <= 1024 and 1e-6 <= alpha <= 1.0):
            raise ValueError(
                "Expected bits from 1 to 26, features from 1 to 1024 and alpha from 1e-6 to 1, "
                f"got {bits}, {features} and {alpha}"
            )
        if delayed not in ("none", "fake_negative"):
            raise ValueError(f"Expected delayed 'none' or 'fake_negative', got {delayed!r}")
        self.bits = bits
        self.features = features
        self.alpha = alpha
        self.seed = seed
        self.delayed: Delayed = delayed
        _kernels()
        random = np.random.default_rng(seed)
        first, second = HIDDEN
        self.parameters = Parameters(
            0.1 * (random.random((1 << bits, first), np.float32) - np.float32(0.5)),
            np.zeros(first, np.float32),
            _he(random, first, second),
            np.zeros(second, np.float32),
            _he(random, second, 1)[:, 0],
            np.zeros((), np.float32),
        )
        self.squares = Parameters(
            np.zeros(1 << bits, np.float32), *(np.zeros_like(each) for each in self.parameters[1:])
        )
        self.touched = np.zeros(1 << bits, np.uint8)
        self.seen = np.zeros(1 << bits, np.bool_)
        self.rejected = 0

    @classmethod
    def _unit_test_params(cls) -> Iterator[dict[str, Any]]:
        yield {"bits": 8}

    def snapshot(self) -> State:
        """Rows of the buckets that were ever in an example, and all else."""
        buckets = np.flatnonzero(self.seen).astype(np.uint32)
        state: State = {"buckets": buckets}
        for kind, held in (("parameters", self.parameters), ("squares", self.squares)):
            for name, array in zip(Parameters._fields, held, strict=True):
                state[f"{kind}_{name}"] = np.array(array)[buckets] if name == "table" else np.array(array)
        return state

    def restore(self, state: State) -> None:
        """Lay a snapshot over a model that has learned nothing."""
        self.seen[state["buckets"]] = True
        for kind in ("parameters", "squares"):
            table = np.array(getattr(self, kind).table)
            table[state["buckets"]] = state[f"{kind}_table"]
            others = (state[f"{kind}_{name}"] for name in Parameters._fields[1:])
            setattr(self, kind, Parameters(table, *others))

    def _predict_rows(self, rows: Rows) -> NDArray[np.float64]:
        predictions = [
            np.array(_kernels().predict(self.parameters, buckets, values, end - start))[: end - start]
            for start, end, buckets, values in self._chunks(rows)
        ]
        return _joined(predictions)

    def _learn_rows(
        self, rows: Rows, labels: NDArray[np.bool_], weights: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        predictions = []
        self.touched[rows.buckets] = 1
        self.seen[rows.buckets] = True
        for start, end, buckets, values in self._chunks(rows):
            padding = (0, CHUNK - (end - start))
            with np.errstate(over="ignore"):  # a weight beyond float32 is infinite, and its example rejected
                chunk_weights = np.pad(weights[start:end], padding).astype(np.float32)
            self.parameters, self.squares, chunk, rejected = _kernels().learn(
                self.parameters,
                self.squares,
                buckets,
                values,
                np.pad(labels[start:end], padding),
                chunk_weights,
                end - start,
                self.alpha,
                self.delayed == "fake_negative",
            )
            predictions.append(np.array(chunk)[: end - start])
            self.rejected += int(rejected)
        return _joined(predictions)

    def _chunks(self, rows: Rows) -> Iterator[tuple[int, int, NDArray[np.uint32], NDArray[np.float32]]]:
        """Start and end of each chunk with its rows, padded: uint32 and float32 [CHUNK, features]."""
        lengths = np.diff(rows.offsets)
        if lengths.size and lengths.max() > self.features:
            raise ValueError(f"Expected rows of at most {self.features} features, got {lengths.max()}")
        squashed = np.copysign(np.log1p(np.abs(rows.values)), rows.values) / np.log(2.0)
        place = np.arange(rows.buckets.size) - np.repeat(rows.offsets[:-1], lengths)
        row = np.repeat(np.arange(lengths.size), lengths)
        for start in range(0, lengths.size, CHUNK):
            end = min(start + CHUNK, lengths.size)
            of = slice(rows.offsets[start], rows.offsets[end])
            buckets = np.zeros((CHUNK, self.features), np.uint32)
            values = np.zeros((CHUNK, self.features), np.float32)
            buckets[row[of] - start, place[of]] = rows.buckets[of]
            values[row[of] - start, place[of]] = squashed[of]
            yield start, end, buckets, values


def _he(random: np.random.Generator, inputs: int, outputs: int) -> NDArray[np.float32]:
    """Initial weights for rectified units (He et al. 2015), float32[inputs, outputs]."""
    drawn = random.standard_normal((inputs, outputs), np.float32)
    return (drawn * np.float32(np.sqrt(2.0 / inputs))).astype(np.float32)


def _joined(chunks: list[NDArray[np.float32]]) -> NDArray[np.float64]:
    return np.concatenate([np.zeros(0), *chunks]).astype(np.float64)
