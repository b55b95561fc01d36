"""Open report pages in Chromium, use them, and keep screenshots.

    pip install playwright && apt-get install chromium
    python benchmarks/browser.py [--out DIR] [--chromium PATH]

Pages of a healthy run, one that explodes, one that is frozen (and its diagnosis and repair), wrong labels and
validation data in other units. Each must render without a console error or a request, in light and dark, at the width
of a phone and on paper; search, filters, buttons, keys and the health map must work without a mouse.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np

import pynn

ROOT = Path(__file__).parent.parent


def pages(folder: Path) -> list[str]:
    """Write the pages; returns their names."""
    (X, y), (Xt, yt) = pynn.datasets.digits()
    X, y, held = X[:2000], y[:2000], (Xt[:500], yt[:500])
    model = classifier([pynn.Dense(128, activation="relu"), pynn.Dropout(0.2), pynn.Dense(64, activation="relu")])
    report = model.fit(X, y, epochs=12, validation_data=held).report
    report.save(folder / "healthy.html", trace=model.trace(X[:64]))
    wide = [pynn.Dense(1000, activation="relu"), pynn.Dense(1000, activation="relu"), pynn.Dense(10)]
    model = pynn.Sequential(wide, seed=0)
    model.compile("mse", pynn.SGD(learning_rate=0.01))
    try:
        model.fit(X * 255, np.eye(10)[y], epochs=2)
    except pynn.NumericalError as error:
        error.report.save(folder / "exploding.html", title="784-1000-1000-10 on pixels of 0 to 255")
    small = pynn.initializers.RandomNormal(0, 0.05)
    deep = [pynn.Dense(64, activation="sigmoid", kernel_initializer=small) for _ in range(8)]
    model = classifier(deep, pynn.SGD(learning_rate=0.01))
    model.fit(X, y, epochs=10, validation_data=held).report.save(folder / "frozen.html")
    model = classifier(deep, pynn.SGD(learning_rate=0.01))
    pynn.diagnose(model, X, y, epochs=10, budget=10).save(folder / "diagnosis.html")
    pynn.repair(model, X, y, epochs=10, budget=10).report.save(folder / "repair.html")
    random = np.random.default_rng(0)
    wrong = y.copy()
    at = random.choice(len(y), 100, replace=False)
    wrong[at] = (wrong[at] + random.integers(1, 10, 100)) % 10
    model = classifier([pynn.Dense(128, activation="relu")])
    suspicions = pynn.find_label_errors(model, X, wrong, epochs=8)
    model.fit(X, wrong, epochs=5).report.save(folder / "labels.html", X=X, y=wrong, suspicions=suspicions)
    model = classifier([pynn.Dense(128, activation="relu")])
    model.fit(X, y, epochs=8, validation_data=(held[0] * 255, held[1])).report.save(folder / "mismatch.html")
    return [path.stem for path in sorted(folder.glob("*.html"))]


def classifier(hidden: list[Any], optimizer: Any = "adam") -> Any:
    """Return a compiled network for ten classes."""
    model = pynn.Sequential([*hidden, pynn.Dense(10)], seed=0)
    model.compile("softmax_cross_entropy", optimizer, metrics=["accuracy"])
    return model


def use(page: Any, name: str, folder: Path) -> None:
    """Check what a reader does on a page, and keep pictures of it."""
    page.screenshot(path=folder / f"{name}.png", full_page=True)
    assert page.locator(".verdict .sentence").inner_text()
    cards = page.locator(".finding").count()
    if cards:
        search = page.locator('input[data-search="findings"]')
        search.fill("no finding says this")
        assert page.locator(".finding:visible").count() == 0
        search.fill(page.locator(".finding h3 code").first.text_content())
        assert page.locator(".finding:visible").count() >= 1
        search.fill("")
        boxes = page.locator("input[data-severity]")
        for i in range(boxes.count()):
            boxes.nth(i).uncheck()
        assert page.locator(".finding:visible").count() == 0
        assert page.locator("#shown").inner_text() == f"0 of {cards} shown"
        for i in range(boxes.count()):
            boxes.nth(i).check()
    maps = page.locator("img[data-map]")
    if maps.count():
        maps.first.focus()
        before = page.locator("figure.health output").first.inner_text()
        page.keyboard.press("ArrowRight")
        after = page.locator("figure.health output").first.inner_text()
        assert "layer" in before
        assert before != after, name
    columns = page.locator("#columns tbody tr")
    if columns.count():
        page.locator('input[data-search="columns"]').fill("no such column")
        assert page.locator("#columns tbody tr:visible").count() == 0
        page.locator('input[data-search="columns"]').fill("")
    page.locator("summary").first.focus()
    page.keyboard.press("Enter")
    copies = page.locator("button[data-copy]:visible")
    if copies.count():
        copies.first.click()
        assert copies.first.inner_text() in ("Copied", "Selected")
    page.locator("#theme").click()
    page.screenshot(path=folder / f"{name}_dark.png")
    page.locator("#theme").click()
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 391, f"{name} is wider than a phone"
    page.screenshot(path=folder / f"{name}_phone.png")
    page.pdf(path=folder / f"{name}.pdf")


def main() -> None:
    """Write the pages, use them, and tell what was seen."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="where pages and pictures go; default: a temporary folder")
    parser.add_argument("--chromium", default=shutil.which("chromium"))
    options = parser.parse_args()
    from playwright.sync_api import sync_playwright

    warnings.simplefilter("ignore")
    folder = options.out or Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    names, sizes = pages(folder), dict[str, int]()
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=options.chromium, args=["--no-sandbox"])
        for name in names:
            troubles: list[str] = []
            page = browser.new_page(viewport={"width": 1100, "height": 900})
            page.on("console", lambda message, t=troubles: t.append(message.text))
            page.on("pageerror", lambda error, t=troubles: t.append(str(error)))
            page.on("request", lambda request, t=troubles: None if request.url.startswith(("file:", "data:"))
                    else t.append(request.url))  # fmt: skip
            page.goto(f"file://{(folder / name).absolute()}.html")
            use(page, name, folder)
            page.close()
            assert not troubles, f"{name}: {troubles}"
            sizes[name] = (folder / f"{name}.html").stat().st_size
            print(f"{name:12}{(folder / f'{name}.html').stat().st_size / 1024:7.0f} KB  no errors, no requests")
        record = {"chromium": browser.version, "pages": sizes}
        browser.close()
    (ROOT / "benchmarks" / "results" / "browser.json").write_text(json.dumps(record, indent=1) + "\n")
    print(f"pictures in {folder}")


if __name__ == "__main__":
    main()
