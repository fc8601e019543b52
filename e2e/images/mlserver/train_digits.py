"""Train the digits model at image build: the scikit-learn that pickles it is the one that unpickles it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import joblib
from pausing_classifier import PausingClassifier
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

LEAST_ACCURACY = 0.95


def train(target: Path) -> float:
    """Write the model to `target` and return the share of unseen digits it reads correctly."""
    rows, labels = load_digits(return_X_y=True)
    seen, unseen, seen_labels, unseen_labels = train_test_split(rows, labels, test_size=0.25, random_state=7)
    model = PausingClassifier(make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)))
    model.fit(seen, seen_labels)
    joblib.dump(model, target)
    return float(model.score(unseen, unseen_labels))


def main() -> None:
    os.environ["PAUSE_MS"] = "0"
    accuracy = train(Path(sys.argv[1]))
    print(f"digits: {accuracy:.1%} of unseen digits read correctly")
    if accuracy < LEAST_ACCURACY:
        sys.exit(f"only {accuracy:.1%} read correctly, below {LEAST_ACCURACY:.0%}: check the training data")


if __name__ == "__main__":
    main()
