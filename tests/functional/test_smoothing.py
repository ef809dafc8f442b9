from ecg_lightning.functional.smoothing import smoothing_words


def test_words_follow_the_settings() -> None:
    assert smoothing_words() == "smoothed by Savitzky-Golay 31/3"
    assert smoothing_words(15, 2) == "smoothed by Savitzky-Golay 15/2"
    assert smoothing_words(None) == "not smoothed"
