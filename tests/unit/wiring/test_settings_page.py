from wiring.settings_page import PAGE, render


def test_the_page_of_the_settings_is_that_of_the_code():
    assert PAGE.read_text() == render(), "run `python -m wiring.settings_page`"
