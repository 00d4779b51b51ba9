import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from nanocensus.statistics.estimation.philox import Purpose, random_words

WORD = st.integers(0, 2**64 - 1)


@settings(max_examples=60)
@given(WORD, st.sampled_from(Purpose), st.tuples(WORD, WORD, WORD, WORD))
def test_words_are_those_of_numpys_philox(seed, purpose, counter):
    before = (sum(word << 64 * place for place, word in enumerate(counter)) - 1) % 2**256
    words = np.array([before >> 64 * place & 2**64 - 1 for place in range(4)], np.uint64)
    numpys = np.random.Philox(key=np.array([seed, purpose], np.uint64), counter=words)
    assert random_words(seed, purpose, np.array([counter], np.uint64))[0].tolist() == numpys.random_raw(4).tolist()


def test_purposes_differ():
    assert len({purpose.value for purpose in Purpose}) == len(Purpose)
    counters = np.array([[1, 2, 3, 4]], np.uint64)
    assert (random_words(0, Purpose.SUBSETS, counters) != random_words(0, Purpose.RANDOM_GROUPS, counters)).all()
