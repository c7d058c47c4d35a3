"""Writes golden.json: the results of SciPy and NumPy for fixed data. usage: golden.py > golden.json"""
import json
import sys

import numpy as np
import scipy
from scipy import stats

rng = np.random.default_rng(20261125)
cases = {
    "small": [0.03, -0.01, 0.05, 0.02, 0.04, -0.02, 0.06],
    "one": [0.5],
    "all positive": [1.0, 2.0, 3.5, 4.25, 7.0],
    "ties and zeros": [0.0, 1.0, -1.0, 2.0, 2.0, 0.0, 3.0, -2.0, 1.0],
    "thirty": list(rng.normal(0.02, 0.05, 30)),
    "sixty": list(rng.normal(-0.01, 0.03, 60)),
    "skewed": list(rng.lognormal(-3, 1, 25) - 0.03),
    "six of one": [0.25] * 6,
    "three values": [0.25, 0.25, 0.5, 0.5, 0.75, 0.75, -0.25],
}
out = {"scipy": scipy.__version__, "numpy": np.__version__, "one_sample": {}, "two_sample": {}, "holm": {}}
for name, d in cases.items():
    x = np.array(d)
    i, j = np.triu_indices(len(x))
    w = stats.wilcoxon(x, zero_method="wilcox", correction=False, method="exact" if len(x) <= 50 and len(set(np.abs(x))) == len(x) and not (x == 0).any() else "approx" if len(x) > 50 else stats.PermutationMethod(n_resamples=np.inf))
    out["one_sample"][name] = {"data": d, "hodges_lehmann": float(np.median((x[i] + x[j]) / 2)), "statistic": float(w.statistic), "p": float(w.pvalue)}
for name, (n, m, shift) in {"five and six": (5, 6, 0.3), "twenty": (20, 20, 0.02), "thirty and forty": (30, 40, 0.5)}.items():
    a, b = rng.normal(0, 1, n), rng.normal(shift, 1, m)
    u = stats.mannwhitneyu(b, a, alternative="two-sided", method="exact" if n * m <= 900 else "asymptotic", use_continuity=True)
    out["two_sample"][name] = {"a": list(a), "b": list(b), "shift": float(np.median(np.subtract.outer(b, a))), "p": float(u.pvalue)}
for name, (a, b) in {"tied": ([1, 2, 2, 3, 5], [2, 3, 3, 5, 5, 6]), "equal": ([1, 1, 1], [1, 1, 1, 1]), "far and tied": ([1, 1, 1, 1], [2, 2, 2, 2, 2])}.items():
    u = stats.mannwhitneyu(b, a, alternative="two-sided", method=stats.PermutationMethod(n_resamples=np.inf))
    out["two_sample"][name] = {"a": a, "b": b, "shift": float(np.median(np.subtract.outer(b, a))), "p": float(u.pvalue)}
for name, p in {"three": [0.01, 0.04, 0.03], "capped": [0.6, 0.9, 0.5], "one": [0.02], "equal": [0.02, 0.02, 0.5, 0.001]}.items():
    order = np.argsort(p)
    adj, run = [0.0] * len(p), 0.0
    for k, i in enumerate(order):
        run = max(run, min(1.0, (len(p) - k) * p[i]))
        adj[i] = run
    out["holm"][name] = {"p": p, "adjusted": adj}
x = rng.normal(0.02, 0.04, (8, 5))
reps = 20000
medians = [float(np.median(x[rng.integers(0, 8, 8)].ravel())) for _ in range(reps)]
out["bootstrap"] = {"clusters": x.tolist(), "low": float(np.quantile(medians, 0.025)), "high": float(np.quantile(medians, 0.975))}
out["student"] = [{"q": q, "freedom": n, "t": float(stats.t.ppf(q, n))} for q in (0.9, 0.975, 0.995) for n in (1, 2, 5, 6, 19, 200)]
json.dump(out, sys.stdout, indent=1)
print()
