"""Emphasis as readers of Chinese, Japanese and Korean mean it, and elsewhere as CommonMark has it."""

from __future__ import annotations

import pytest

from cozeloop_magic.view.markdown import Blocks, to_html

CJK = [
    ("这是**“重点”**内容", "“重点”"),
    ("还有**重点。**后面", "重点。"),
    ("请看**《红楼梦》**这本书", "《红楼梦》"),
    ("他说**“你好”**，然后走了", "“你好”"),
    ("**注意：**请先保存", "注意："),
    ("价格是**100元（含税）**起", "100元（含税）"),
    ("使用**`pip`**安装", None),
    ("结论**非常重要！**不要忘记", "非常重要！"),
    ("第一步**（可选）**打开文件", "（可选）"),
    ("这叫**机器学习**的方法", "机器学习"),
    ("答案是**“A”**或者**“B”**", "“A”"),
    ("模型**【大】**很好", "【大】"),
    ("**“全部”**都是", "“全部”"),
    ("见**第3章、**然后", "第3章、"),
    ("它是**『核心』**部分", "『核心』"),
    ("これは**「重要」**です", "「重要」"),
    ("そして**重要。**次に", "重要。"),
    ("**注意：**保存して", "注意："),
    ("彼は**「はい」**と言った", "「はい」"),
    ("値段は**100円（税込）**です", "100円（税込）"),
    ("**『本』**を読む", "『本』"),
    ("とても**すごい！**から", "すごい！"),
    ("機械学習は**強力**です", "強力"),
    ("答えは**「A」**か**「B」**", "「A」"),
    ("次の**（任意）**手順", "（任意）"),
    ("カタカナ**「テスト」**文", "「テスト」"),
    ("ひらがな**。**終わり", "。"),
    ("これ**、**それ", "、"),
    ("이것은 **중요(重要)**입니다", "중요(重要)"),
    ("그는 **“네”**라고 말했다", "“네”"),
    ("**주의:**저장하세요", "주의:"),
    ("값은 **100원(세금 포함)**입니다", "100원(세금 포함)"),
    ("정말 **대단해!**라고", "대단해!"),
    ("기계학습은 **강력**합니다", "강력"),
    ("답은 **“A”**또는", "“A”"),
    ("다음 **(선택)**단계", "(선택)"),
    ("책 **《홍루몽》**을 읽다", "《홍루몽》"),
    ("이름은 **‘철수’**이다", "‘철수’"),
    ("그리고 **끝.**다음", "끝."),
    ("제목은 **「봄」**이다", "「봄」"),
]


@pytest.mark.parametrize(("sentence", "strong"), CJK)
def test_emphasis_beside_cjk_punctuation_is_meant_as_it_is_read(sentence: str, strong: str | None) -> None:
    html = to_html(sentence)
    assert "**" not in html and (strong is None or f"<strong>{strong}</strong>" in html)
    settled, tail = Blocks().feed(sentence)
    assert "".join(settled) + tail == html


def test_emphasis_elsewhere_stays_as_commonmark_has_it() -> None:
    assert to_html('a * b * c, 2*3*4, a**"b"**c') == "<p>a * b * c, 2<em>3</em>4, a**&quot;b&quot;**c</p>\n"
