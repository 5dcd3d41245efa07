"""The Python package against known answers and against the tool; run by test_python.sh with LATGRAD and LATGRAD_LIBRARY."""

import gc
import json
import os
import subprocess
import tempfile
import threading
import unittest

import numpy as np

import latgrad

SI = {"model": "si", "lattice": {"height": 16, "width": 16}, "threads": 1}
PRW = {
    "model": "prw",
    "data.generate.params.p_center": 0.3,
    "data.generate.params.p_resample": 0.6,
    "data.generate.runs": 500,
    "params.p_center.start": 0.7,
    "params.p_resample.start": 0.7,
    "replicates": 300,
    "optimizer": {"name": "adam", "lr": 0.05},
    "iterations": 300,
    "threads": 1,
}


def tool(*arguments):
    answer = subprocess.run([os.environ["LATGRAD"], *arguments], check=True, capture_output=True, text=True)
    return json.loads(answer.stdout)


class Simulate(unittest.TestCase):
    def test_shapes_and_known_states(self):
        states = latgrad.simulate(SI, steps=3, every=1, params={"beta": 1.0}, replicates=2)
        self.assertEqual(states.shape, (4, 1, 2, 1, 16, 16))
        self.assertEqual(states.dtype, np.uint8)
        # With beta = 1 everything next to an aware site becomes aware: squares of side 1, 3, 5, 7.
        self.assertEqual([int(s.sum()) // 2 for s in states], [1, 9, 25, 49])

    def test_walkers(self):
        states = latgrad.simulate({"model": "prw"}, steps=5, replicates=10, fits=2)
        self.assertEqual((states.shape, states.dtype), ((2, 10, 4), np.int32))
        self.assertLessEqual(int(np.abs(states[..., :2]).max()), 5)

    def test_same_states_again_and_other_noise(self):
        first, again = (latgrad.simulate(SI, steps=8, seed=5) for _ in range(2))
        np.testing.assert_array_equal(first, again)
        self.assertFalse(np.array_equal(first, latgrad.simulate(SI, steps=8, seed=6)))


class Grad(unittest.TestCase):
    def test_equals_the_tool(self):
        loss, gradient = latgrad.grad(PRW, params={"p_center": 0.2, "p_resample": 0.1}, seed=3)
        settings = [f"{k}={v}" for k, v in {**PRW, "params.p_center.start": 0.2, "params.p_resample.start": 0.1}.items()
                    if not isinstance(v, dict)]
        said = tool("grad", "prw", "--json", "--seed", "3", *(a for s in settings[1:] for a in ("--set", s)))
        self.assertEqual(float(loss[0]), said["loss"])
        self.assertEqual(gradient[0].tolist(), [said["grad"]["p_center"], said["grad"]["p_resample"]])

    def test_value_is_the_loss(self):
        problem = latgrad.Problem(PRW)
        np.testing.assert_array_equal(problem.value(iteration=2), problem.grad(iteration=2)[0])

    def test_array_of_parameters_for_each_fit(self):
        problem = latgrad.Problem(PRW, fits=2)
        loss, gradient = problem.grad(np.array([[0.3, 0.6], [0.9, 0.9]]))
        self.assertLess(loss[0], loss[1])
        self.assertEqual(gradient.shape, (2, 2))


class Fit(unittest.TestCase):
    def test_recovers_the_truth_and_keeps_a_trace(self):
        calls = []
        result = latgrad.fit(
            PRW,
            callback=lambda i, loss, params: calls.append((i, loss.shape, params.shape)),
            data__generate__runs=15000,
            replicates=1500,
        )
        tail = result.tail(100)
        self.assertAlmostEqual(tail["p_center"][0], 0.3, delta=0.1)
        self.assertAlmostEqual(tail["p_resample"][0], 0.6, delta=0.1)
        self.assertEqual(result.status, ["done"])
        self.assertTrue(calls)
        self.assertEqual(calls[0][1:], ((1,), (1, 2)))
        trace = result.trace()
        del result
        gc.collect()
        self.assertEqual(trace.params.shape, (300, 2))
        np.testing.assert_array_equal(trace.params[0], [0.7, 0.7])
        with self.assertRaises(ValueError):
            trace.loss[0] = 1.0

    def test_callback_stops_and_raises(self):
        self.assertEqual(latgrad.fit(PRW, callback=lambda *_: True).status, ["stopped"])
        with self.assertRaisesRegex(ZeroDivisionError, "division"):
            latgrad.fit(PRW, callback=lambda *_: 1 / 0)

    def test_save_keeps_existing_files(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "fit.h5")
            result = latgrad.fit(PRW, iterations=5)
            result.save(path)
            with self.assertRaises(latgrad.LatgradError) as caught:
                result.save(path)
            self.assertEqual(caught.exception.code, "LG_ERR_EXISTS")
            result.save(path, force=True)


class OwnLoss(unittest.TestCase):
    def walk(self, **settings):
        return latgrad.Problem({**PRW, "steps": 10, "data.generate.runs": 200, **settings})

    def mean_squares(self, target):
        def loss(positions):  # sum over steps of (MSD - target)^2, as the library's own
            self.assertEqual((positions.shape, positions.dtype), ((300, len(target), 2), np.int32))
            self.assertFalse(positions.flags.writeable or positions.flags.owndata)
            off = (positions.astype(float) ** 2).sum(2).mean(0) - target
            return (off**2).sum(), 4 * off[:, None] * positions / len(positions)

        return loss

    def test_equals_the_library_s(self):
        target = np.array([1.5, 3.7, 6.1, 9.9, 13.0])
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "msd.csv")
            with open(path, "w", encoding="ascii") as table:
                table.write("lag,time_s,msd_um2,sem_um2,n\n")
                table.writelines(f"{i + 1},{i + 1},{msd},0.1,50\n" for i, msd in enumerate(target))
            problem = latgrad.Problem({"model": "prw", "data.msd": path, "data.spacing2": 1, "replicates": 300})
        expected = problem.grad({"p_center": 0.4, "p_resample": 0.5}, iteration=4)
        got = problem.loss_and_grad({"p_center": 0.4, "p_resample": 0.5}, self.mean_squares(target), range(1, 6), 4)
        np.testing.assert_allclose(got[0], expected[0], rtol=1e-12)
        np.testing.assert_allclose(got[1], expected[1], rtol=1e-5)

    def test_transitions_equal_bytes(self):
        with tempfile.TemporaryDirectory() as folder:
            frames = latgrad.simulate({"model": "si", "lattice": {"height": 12, "width": 9}}, steps=6, every=1,
                                      params={"beta": 0.3})[:, 0, 0, 0]
            path = os.path.join(folder, "frames.npy")
            np.save(path, frames)
            problem = latgrad.Problem({"model": "si", "data.frames": path, "replicates": 12, "threads": 1})
            expected = problem.grad({"beta": 0.4}, 2)

            def loss(states):
                off = states[:, 0, 0].astype(float) - frames[1:][problem.recorded.rows]
                return (off**2).sum(), (2 * off)[:, None, None]

            got = problem.loss_and_grad({"beta": 0.4}, loss, iteration=2)
            np.testing.assert_array_equal(got[0], expected[0])
            np.testing.assert_array_equal(got[1], expected[1])
            self.assertEqual((problem.loss, problem.recorded.fit, problem.recorded.iteration), ("own", 0, 2))
            np.testing.assert_array_equal(problem.recorded.steps, [1])
            # another function, the same steps; a scalar adjoint counts for all states: sum of (1 - X) N (1 - beta)^(N - 1)
            _, gradient = problem.loss_and_grad({"beta": 0.4}, lambda states: (states.sum(), 1.0))
            expected = 0.0
            for row in problem.recorded.rows:
                x = frames[row].astype(int)
                n = sum(np.roll(x, (i, j), (0, 1)) for i in (-1, 0, 1) for j in (-1, 0, 1)) - x
                expected += ((1 - x) * n * 0.6 ** np.maximum(n - 1, 0)).sum()
            self.assertAlmostEqual(float(gradient[0, 0]), expected, delta=1e-5 * expected)

    def test_fits(self):
        target = np.array([3.0, 22.0])  # MSD after 2 and 10 steps; it starts at 1.6 and 10.4
        problem = self.walk(task="simulate", iterations=200, replicates=300)
        problem.set_loss(self.mean_squares(target), [2, 10])
        result = problem.fit()
        self.assertLess(float(np.mean(result.trace().loss[-50:])), 0.1 * float(result.trace().loss[0]))

    def test_exceptions(self):
        problem = self.walk()
        with self.assertRaisesRegex(ZeroDivisionError, "division"):
            problem.loss_and_grad(loss=lambda states: (1 / 0, 0))
        with self.assertRaises(ZeroDivisionError):
            problem.fit()
        problem.set_loss(lambda states: (1.0, np.nan))
        with self.assertRaisesRegex(latgrad.LatgradError, "x of walker 0 after step 10"):
            problem.grad()
        with self.assertRaisesRegex(latgrad.LatgradError, "recorded step 0 is 11"):
            problem.set_loss(lambda states: (1.0, 0), [11])
        with self.assertRaises(ValueError):
            problem.loss_and_grad(loss=lambda states: (1.0, np.zeros(7)))


class Gradcheck(unittest.TestCase):
    SETTINGS = {
        **SI,
        "data.generate": {"params.beta": 0.2, "runs": 4, "steps": 12},
        "params.beta.start": 0.3,
        "replicates": 8,
        "seed": 2,
    }

    def test_equals_the_tool(self):
        check = latgrad.gradcheck(self.SETTINGS, ["ste", "score"], runs=20, reference_runs=30)
        self.assertEqual([(row.estimator, row.param) for row in check.rows], [("ste", "beta"), ("score", "beta")])
        flat = {"lattice.height": 16, "lattice.width": 16, "data.generate.params.beta": 0.2, "data.generate.runs": 4,
                "data.generate.steps": 12, "params.beta.start": 0.3, "replicates": 8, "seed": 2, "threads": 1}
        said = tool("gradcheck", "si", "--json", "--estimators", "ste,score", "--runs", "20", "--reference-runs", "30",
                    *(a for k, v in flat.items() for a in ("--set", f"{k}={v}")))
        table = check.array()
        for row, expected, line in zip(check.rows, said["checks"][0]["rows"], table, strict=True):
            self.assertEqual((row.mean, row.bias, row.passed), (expected["mean"], expected["bias"], expected["pass"]))
            self.assertEqual((line["mean"], line["estimator"]), (row.mean, row.estimator))
        self.assertEqual((check.model, check.runs, check.point.tolist()), ("si", 20, [0.3]))


class Errors(unittest.TestCase):
    def test_messages_of_the_library(self):
        with self.assertRaisesRegex(latgrad.LatgradError, "optimizer.lr"):
            latgrad.fit(PRW, optimiser__lr=1)
        with self.assertRaisesRegex(latgrad.LatgradError, "nowhere.yaml"):
            latgrad.fit("nowhere.yaml")
        with self.assertRaisesRegex(ValueError, "no parameter 'gamma'; it has beta"):
            latgrad.simulate(SI, params={"gamma": 1})


class Threads(unittest.TestCase):
    def test_one_problem_per_thread(self):
        expected = [latgrad.simulate(SI, steps=10, seed=s) for s in range(4)]
        got = [None] * 4

        def work(s):
            for _ in range(5):
                got[s] = latgrad.simulate(SI, steps=10, seed=s)

        threads = [threading.Thread(target=work, args=(s,)) for s in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for a, b in zip(expected, got):
            np.testing.assert_array_equal(a, b)


if __name__ == "__main__":
    unittest.main()
