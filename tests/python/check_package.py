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
