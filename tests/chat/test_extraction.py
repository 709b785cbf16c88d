from collections.abc import Sequence

import pytest

from app.chat.extraction import extract_answer
from app.chat.prompts import PromptPassage


def passages(*texts: str, heading_path: tuple[str, ...] = ()) -> list[PromptPassage]:
    return [
        PromptPassage(number, f"{number}.md", "Handbook", heading_path, text)
        for number, text in enumerate(texts, start=1)
    ]


async def answer(query: str, *texts: str, heading_path: tuple[str, ...] = ()) -> str | None:
    return await extract_answer(query, passages(*texts, heading_path=heading_path))


GARDEN = "Roses bloom in June. Tulips need cold winters. Water the lawn every morning."
KITCHEN = "Bread rises for two hours. Bake it at 220 degrees. Let it cool on a rack."


async def test_the_sentence_that_answers_is_quoted_with_its_passage() -> None:
    assert await answer("When do roses bloom?", KITCHEN, GARDEN) == "Roses bloom in June. [2]"


async def test_words_match_in_their_other_forms() -> None:
    assert await answer("How is a lawn watered?", GARDEN) == "Water the lawn every morning. [1]"


async def test_nothing_is_found_where_no_sentence_answers() -> None:
    assert await answer("Who won the chess championship?", GARDEN, KITCHEN) is None


async def test_one_common_word_is_not_enough() -> None:
    assert await answer("Which winters ruined the harvest of 1816?", GARDEN, KITCHEN) is None


async def test_nothing_is_found_without_passages_or_sentences() -> None:
    assert await answer("Anything?") is None
    assert await answer("Anything?", "", "# Anything", "---") is None


async def test_a_query_without_a_word_finds_nothing() -> None:
    assert await answer("???", GARDEN) is None
    assert await answer("", GARDEN) is None


async def test_a_query_of_stop_words_still_matches_words() -> None:
    assert await answer("What is it?", "What it is, nobody knows. Roses bloom.") == (
        "What it is, nobody knows. [1]"
    )


async def test_sentences_of_one_paragraph_stay_together_and_others_apart() -> None:
    found = await answer(
        "What do tulips need?",
        "Tulips need cold winters. They need sun. Tulips need dry soil.",
        "Bread rises.\n\nTulips need patience.",
    )
    assert found == (
        "Tulips need cold winters. [1] Tulips need dry soil. [1]\n\nTulips need patience. [2]"
    )


async def test_within_a_passage_the_order_is_that_of_reading() -> None:
    text = "Cold winters help tulips. All the tulips need cold winters."
    assert await answer("Which tulips need cold winters?", text) == (
        "Cold winters help tulips. [1] All the tulips need cold winters. [1]"
    )


async def test_the_passage_with_the_best_answer_comes_first() -> None:
    async def scorer(query: str, sentences: Sequence[str]) -> Sequence[float]:
        return [0.9 if "All" in sentence else 0.7 for sentence in sentences]

    texts = passages("Some tulips need winters.", "All tulips need winters.")
    assert await extract_answer("Which tulips need winters?", texts, scorer) == (
        "All tulips need winters. [2]\n\nSome tulips need winters. [1]"
    )


async def test_a_sentence_that_refers_to_the_one_before_brings_it() -> None:
    text = "A test container is published. It is called loadtest. It needs a key."
    assert await answer("What is the test container called?", text) == (
        "A test container is published. [1] It is called loadtest. [1]"
    )
    apart = "A test container is published.\n\nIt is called loadtest."
    assert await answer("What is it called?", apart) == "It is called loadtest. [1]"


async def test_what_overlapping_passages_share_is_quoted_once() -> None:
    assert await answer("When do roses bloom?", GARDEN, GARDEN) == "Roses bloom in June. [1]"


async def test_of_many_good_sentences_a_few_are_quoted() -> None:
    colours = ["red", "white", "pink", "yellow", "orange", "violet", "purple", "black"]
    found = await answer("How do roses bloom?", " ".join(f"Roses bloom {c}." for c in colours))
    assert found is not None
    assert found.count("[1]") == 4


async def test_a_rare_word_says_more_than_one_that_is_everywhere() -> None:
    many = " ".join(f"Roses bloom {c}." for c in ("red", "white", "pink", "blue", "grey", "gold"))
    assert await answer("Which roses get aphids?", many, "Aphids come in May.") == (
        "Aphids come in May. [2]"
    )


async def test_a_better_passage_wins_over_slightly_better_words() -> None:
    async def scorer(query: str, sentences: Sequence[str]) -> Sequence[float]:
        return [0.94 if "five" in sentence else 0.92 for sentence in sentences]

    texts = passages("One one.", "Two two.", "Three three.", "Four four.", "Five five.")
    found = await extract_answer("How?", texts, scorer)
    assert found == "One one. [1]\n\nTwo two. [2]\n\nThree three. [3]\n\nFour four. [4]"


async def test_a_heading_says_what_a_sentence_is_about() -> None:
    text = "## Roses\n\nBlooming starts in June.\n\n## Lilac\n\nBlooming starts in May."
    found = await answer("When do roses start blooming?", text)
    assert found is not None
    assert found.startswith("Blooming starts in June. [1]")
    assert "Roses" not in found


async def test_the_passages_own_headings_count_too() -> None:
    text = "Open the settings and press the red button."
    assert await answer("How are tokens rotated?", text, heading_path=("Rotating tokens",)) == (
        "Open the settings and press the red button. [1]"
    )
    assert await answer("How are tokens rotated?", text, heading_path=("Colours",)) is None


async def test_headings_farther_up_decide_between_equal_sentences() -> None:
    museum = PromptPassage(1, "m.md", "Museum", ("Museum", "Hours"), "We open at nine.")
    library = PromptPassage(2, "l.md", "Library", ("Library", "Hours"), "We open at nine.")
    query = "When does the library open?"
    assert await extract_answer(query, [museum, library]) == "We open at nine. [2]"


INGEST = "To ingest a folder, run:\n\n```sh\npython -m app ingest docs/\n```\n\nIt shows progress."


async def test_the_command_below_a_chosen_sentence_comes_with_it() -> None:
    assert await answer("How do I ingest a folder?", GARDEN, INGEST) == (
        "To ingest a folder, run: [2]\n\n```sh\npython -m app ingest docs/\n```\n\n[2]"
    )


async def test_a_paragraph_above_code_that_is_asked_for_is_quoted_whole() -> None:
    text = "Generate keys with the tool. This writes two files:\n\n```\nmake keys\n```"
    assert await answer("How do I generate keys?", text) == (
        "Generate keys with the tool. [1] This writes two files: [1]\n\n```\nmake keys\n```\n\n[1]"
    )
    assert await answer("What generates keys?", text) == "Generate keys with the tool. [1]"


async def test_code_that_the_question_does_not_ask_for_is_left_out() -> None:
    text = "A folder is ingested file by file.\n\n```\npython -m app ingest docs/\n```"
    assert await answer("What is a folder ingested by?", text) == (
        "A folder is ingested file by file. [1]"
    )
    found = await answer("How do I see a folder ingested?", text)
    assert found is not None
    assert found.endswith("ingest docs/\n```\n\n[1]")


async def test_a_colon_brings_its_code_whatever_is_asked() -> None:
    text = "The default colours are:\n\n```\ngreen\n```"
    assert await answer("Which colours are the default?", text) == (
        "The default colours are: [1]\n\n```\ngreen\n```\n\n[1]"
    )


async def test_code_right_below_its_heading_answers_by_itself() -> None:
    text = "## Install the server\n\n```sh\ncurl get.sh | sh\n```\n\n## Colours\n\nA green server."
    assert await answer("How do I install the server?", text) == (
        "```sh\ncurl get.sh | sh\n```\n\n[1]"
    )


async def test_where_commands_are_asked_for_they_outweigh_mere_mentions() -> None:
    async def scorer(query: str, sentences: Sequence[str]) -> Sequence[float]:
        return [0.5] * len(sentences)

    texts = passages("## Rotate a token\n\n```\nmake key\n```", "A token is a word.")
    assert await extract_answer("How do I rotate a token?", texts, scorer) == (
        "```\nmake key\n```\n\n[1]"
    )
    found = await extract_answer("Is it a token to rotate?", texts, scorer)
    assert found == "A token is a word. [2]"


async def test_a_list_comes_with_the_sentence_that_leads_to_it() -> None:
    text = "Three plans have audit logs:\n\n- Business. It costs more.\n- Scale\n\nOthers don't."
    assert await answer("Which plans have audit logs?", GARDEN, text) == (
        "Three plans have audit logs: [2]\n- Business. [2] It costs more. [2]\n- Scale [2]"
    )


async def test_steps_keep_their_numbers_and_their_commands() -> None:
    text = "To start the server:\n\n1. Build it:\n   ```\n   make\n   ```\n2. Open the page."
    assert await answer("How do I start the server?", text) == (
        "To start the server: [1]\n1. Build it: [1]\n\n```\nmake\n```\n\n[1]\n"
        "\n2. Open the page. [1]"
    )


async def test_of_a_long_list_the_beginning_comes() -> None:
    items = "\n".join(f"- plan{n}" for n in range(30))
    found = await answer("Which plans have audit logs?", f"Plans that have audit logs:\n\n{items}")
    assert found is not None
    assert found.count("[1]") == 11


UNITS = "Units are:\n\n- `ms` for milliseconds\n- `h` for hours\n- `d` for days"


async def test_one_item_answers_without_the_rest_of_its_list_but_with_its_lead() -> None:
    assert await answer("What stands for hours?", UNITS) == "Units are: [1]\n- `h` for hours [1]"


async def test_of_a_list_that_is_led_to_only_the_items_that_say_more_come() -> None:
    assert await answer("Which units are for hours?", UNITS) == (
        "Units are: [1]\n- `h` for hours [1]"
    )
    found = await answer("Which units are there?", UNITS)
    assert found is not None
    assert found.count("[1]") == 4


async def test_steps_come_all_together_though_one_says_more() -> None:
    text = "To deploy the server:\n\n1. Install docker.\n2. Start it."
    assert await answer("How do I deploy the server with docker?", text) == (
        "To deploy the server: [1]\n1. Install docker. [1]\n2. Start it. [1]"
    )


async def test_an_item_is_quoted_whole() -> None:
    text = "- `allow_methods`: a list of allowed methods. Defaults to `GET`.\n- `max_age`: seconds."
    assert await answer("Which methods are allowed?", text) == (
        "- `allow_methods`: a list of allowed methods. [1] Defaults to `GET`. [1]"
    )


async def test_a_nested_item_comes_with_the_item_around_it() -> None:
    text = "* `UUID`:\n    * Sent as text.\n* `timedelta`:\n    * Sent as a number.\n* `bytes`"
    assert await answer("How is a timedelta sent?", text) == (
        "- `timedelta`: [1]\n   - Sent as a number. [1]"
    )


TABLE = "| Region | Place |\n|:--|---|\n| us-west-2 | Oregon |\n| eu-west-1 | Ireland |"


async def test_a_table_row_is_shown_below_its_header() -> None:
    assert await answer("Which region is in Oregon?", TABLE) == (
        "| Region | Place |\n|---|---|\n| us-west-2 | Oregon [1] |"
    )


async def test_rows_of_one_table_stand_in_one_table() -> None:
    assert await answer("Which places are in Oregon or Ireland?", TABLE) == (
        "| Region | Place |\n|---|---|\n| us-west-2 | Oregon [1] |\n| eu-west-1 | Ireland [1] |"
    )


async def test_a_row_that_was_cut_from_its_header_stands_as_an_item() -> None:
    row = "| us-west-2 | Oregon |"
    assert await answer("Which region is in Oregon?", row) == "- us-west-2 | Oregon [1]"


async def test_a_step_of_several_brings_the_others_where_it_is_asked_how() -> None:
    text = "Take care:\n\n1. Docker is needed.\n2. Tulips bloom late."
    assert await answer("What is docker needed for?", text) == (
        "Take care: [1]\n1. Docker is needed. [1]"
    )
    assert await answer("How do I get the docker that is needed?", text) == (
        "Take care: [1]\n1. Docker is needed. [1]\n2. Tulips bloom late. [1]"
    )


async def test_a_question_is_no_answer_but_says_what_the_next_sentence_is_about() -> None:
    text = "Where are tokens rotated?\n\nOpen the settings and press the red button."
    assert await answer("Where are tokens rotated?", text) == (
        "Open the settings and press the red button. [1]"
    )


async def test_a_title_or_a_pointer_gives_way_to_a_statement() -> None:
    text = "Rotating tokens\n\nRotating tokens takes a minute.\n\nSee rotating tokens for details."
    assert await answer("What is rotating tokens?", text) == "Rotating tokens takes a minute. [1]"


async def test_a_short_text_without_a_full_stop_still_answers() -> None:
    assert await answer("When are you open?", "We are open from nine to five") == (
        "We are open from nine to five [1]"
    )


async def test_markers_that_a_passage_has_itself_do_not_pass_for_citations() -> None:
    text = "Roses bloom in June[3] of the [21st] century and `rows[0]` blooms [later](b.md)."
    assert await answer("When do roses bloom?", text) == (
        "Roses bloom in June\\[3] of the [21st] century and `rows[0]` blooms [later](b.md). [1]"
    )


async def test_a_sentence_that_leads_to_nothing_gives_way() -> None:
    text = "A policy that lets us retry and repeat:\n\n# Policy\n\nA retry policy repeats tasks."
    assert await answer("What does a retry policy repeat?", text) == (
        "A retry policy repeats tasks. [1]"
    )


async def test_addresses_of_links_are_no_words() -> None:
    text = "See [here](https://roses.example/bloom/june). Roses bloom late."
    assert await answer("Do roses bloom?", text) == "Roses bloom late. [1]"


async def test_chinese_is_matched_without_spaces() -> None:
    text = "玫瑰在六月开花。要导入文件夹，请运行导入命令。郁金香需要寒冷的冬天。"
    assert await answer("如何导入文件夹？", text) == "要导入文件夹，请运行导入命令。 [1]"


async def test_german_is_matched_by_its_words() -> None:
    text = "Rosen blühen im Juni. Brot geht zwei Stunden lang auf."
    assert await answer("Wann blühen die Rosen?", text) == "Rosen blühen im Juni. [1]"


@pytest.mark.parametrize("filler", ["Bread. " * 1_100, f"{'bread ' * 100}. " * 100])
async def test_of_too_much_text_only_the_beginning_is_read(filler: str) -> None:
    query = "When do roses bloom?"
    assert await answer(query, filler, GARDEN) is None
    assert await answer(query, filler + GARDEN) is None
    assert await answer(query, GARDEN + filler) == "Roses bloom in June. [1]"


async def test_of_too_long_a_query_only_the_beginning_is_read() -> None:
    assert await answer("and " * 600 + "roses bloom", GARDEN) is None


async def test_what_is_too_long_to_quote_is_passed_over() -> None:
    data = "roses bloom " * 200
    assert await answer("When do roses bloom?", data, GARDEN) == "Roses bloom in June. [2]"


async def test_a_scorer_finds_what_no_word_says() -> None:
    asked: list[str] = []

    async def scorer(query: str, sentences: Sequence[str]) -> Sequence[float]:
        asked.append(query)
        return [0.9 if "Oregon" in sentence else 0.0 for sentence in sentences]

    texts = passages("It runs in Oregon.", "Hosting the control plane costs money.")
    query = "Where is the control plane hosted?"
    assert await extract_answer(query, texts) == "Hosting the control plane costs money. [2]"
    found = await extract_answer(query, texts, scorer)
    assert found is not None
    assert "It runs in Oregon. [1]" in found
    assert asked == [query]


async def test_a_scorer_that_sees_no_likeness_lets_nothing_through() -> None:
    async def scorer(query: str, sentences: Sequence[str]) -> Sequence[float]:
        return [-0.1] * len(sentences)

    half = passages("Roses need cold winters.")
    query = "Do roses bloom in cold June?"
    assert await extract_answer(query, half) is not None
    assert await extract_answer(query, half, scorer) is None


async def test_a_scorer_is_asked_about_a_bounded_number_of_sentences() -> None:
    counts: list[int] = []

    async def scorer(query: str, sentences: Sequence[str]) -> Sequence[float]:
        counts.append(len(sentences))
        return [0.5] * len(sentences)

    filler = "Bread rises. " * 300
    found = await extract_answer("When do roses bloom?", passages(filler + GARDEN), scorer)
    assert found == "Roses bloom in June. [1]"
    assert counts == [10]


async def test_a_scorer_reads_a_sentence_below_its_heading() -> None:
    read: list[str] = []

    async def scorer(query: str, sentences: Sequence[str]) -> Sequence[float]:
        read.extend(sentences)
        return [0.9] * len(sentences)

    texts = passages("## Hours\n\nWe open at nine.", "We open at ten.", heading_path=("Library",))
    found = await extract_answer("When does it open?", texts, scorer)
    assert read == ["Hours: We open at nine.", "Library: We open at ten."]
    assert found == "We open at nine. [1]\n\nWe open at ten. [2]"
