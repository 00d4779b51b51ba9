"""Particles of several samples, and a browser that can reach nothing, to see what it makes of a page."""

import re
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
from PIL import Image

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="session")
def browse(tmp_path_factory):
    """Open a page; give its DOM, what the browser complained of, and a picture of it (y, x, 3)."""
    if CHROMIUM is None:
        pytest.skip("chromium is not installed: what a browser makes of the page is not tested")

    def opened(page):
        folder = tmp_path_factory.mktemp("browser")
        path, picture = folder / "page.html", folder / "page.png"
        path.write_text(page, encoding="utf-8")
        command = [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
            "--disable-component-update", "--disable-sync", "--no-first-run", "--disable-dev-shm-usage",
            "--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr", f"--user-data-dir={folder / 'profile'}",
            "--virtual-time-budget=8000", "--window-size=1000,4500",
        ]  # fmt: skip
        command += ["--dump-dom", f"--screenshot={picture}", path.as_uri()]
        dumped = subprocess.run(command, capture_output=True, text=True, check=True)
        complaints = [
            line
            for line in dumped.stderr.splitlines()
            if "CONSOLE" in line and re.search("refused|violat|error:", line, re.IGNORECASE)
        ]
        with Image.open(picture) as seen:
            return dumped.stdout, complaints, np.asarray(seen.convert("RGB"))

    return opened


@pytest.fixture(scope="session")
def sized():
    """Draw particles whose size and shape differ a little from sample to sample."""

    def particles(seed=3, samples=4):
        rng = np.random.default_rng(seed)
        n = 4000
        rows = pd.DataFrame(
            {"sample": rng.choice([f"S{i}" for i in range(samples)], n), "micrograph": rng.choice(list("abcdefgh"), n)}
        )
        place = rows["sample"].str[1:].astype(int).to_numpy()
        rows["edge_length_nm"] = rng.lognormal(np.log(5.0 + 0.2 * place), 0.15, n)
        rows["circularity"] = 0.9 - 0.01 * place + 0.02 * rng.standard_normal(n)
        rows["solidity"] = 0.97 + 0.01 * rng.standard_normal(n)
        return rows

    return particles
