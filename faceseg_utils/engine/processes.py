"""Several processes that train as one: what each of them scores, put together again."""

import pandas as pd
from accelerate.utils import gather_object

from faceseg_utils.dataset import PortraitDataset
from faceseg_utils.evaluation import evaluate
from faceseg_utils.model import Segmenter


def evaluate_together(segmenter: Segmenter, mine: PortraitDataset, loss) -> pd.DataFrame:
    """`evaluate` of this process's own photos, then the tables of all processes as one: each photo counts once."""
    scores = [evaluate(segmenter, mine, loss)] if len(mine) else []
    return pd.concat(gather_object(scores)).sort_index()


def same_everywhere(value) -> bool:
    """Do all processes see the same value?"""
    return len(set(gather_object([value]))) == 1
