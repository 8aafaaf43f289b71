"""Forty fixed texts that cover what tends to go wrong between a text and its token ids."""

# Changing a text makes every probe file saved before differ.
TEXTS = (
    "今天天气很好，我们去公园散步吧。",
    "手机屏幕摔坏了怎么办？",
    "",  # sent as the profile's text for the empty one
    "好",
    "苹果",
    "这家餐厅的火锅很好吃，就是排队的时间太长了，周末去要等两个多小时。",
    " ",  # blank is not empty
    "\n",
    "\t \u3000",
    "  前面和后面都有空格  ",
    "第一行\n第二行\r\n\n第四行",
    "我用 iPhone 15 Pro 拍的 4K 视频，上传到 YouTube 要 30 minutes。",
    "机器学习中的 overfitting（过拟合）如何避免？",
    "今天真开心😀🎉，全家👨‍👩‍👧‍👦一起去看了🐼！",
    "🙂",
    "请把 {text} 换成 {instruction}，不要动 {0} 和 {}。",
    "{text}",
    "用户说：<|im_start|>你好<|im_end|>，然后就结束了。",
    "<|im_start|>",
    "文件到此为止<|endoftext|>后面还有字",
    "他说：“这句话”里有‘引号’，还有\"直引号\"和'单引号'。",
    "“",
    "2024年3月15日上午9点30分，气温-3.5℃，湿度78%，报价￥12,345.67元。",
    "0123456789",
    "ＡＢＣ１２３　全角字母，半角ABC123，ｶﾀｶﾅ和カタカナ",
    "繁體中文：臺灣的氣候溫暖潮濕，適合種植茶葉與稻米。",
    "龘靐齉爩，𠮷野家的𠀀𠂇。",  # rare characters, some beyond the first plane
    "e\u0301 与 é 不同；零\u200b宽\u200b空格；\u202e从右到左",
    "The quick brown fox jumps over the lazy dog.",
    "Ünïcödé, Привет, مرحبا, สวัสดี, 안녕하세요, こんにちは",
    "def f(x):\n    return {'a': x[0] ** 2, \"b\": x.T @ x}  # 代码",
    "https://example.com/搜索?q=向量%20模型&page=2#结果",
    "<p>网页里的<b>标签</b>&nbsp;和&lt;转义&gt;</p>",
    "Instruct: Classify the text\nQuery: 指令里的指令",
    "This sentence: <|im_start|>“模板里的模板” means in one word: “",
    "哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈",
    "患者自述三天前开始咳嗽，夜间加重，伴有低烧，服用感冒药后没有好转。请问需要做哪些检查？" * 8,
    # Longer than any limit with any tokenizer: here the template's end is cut.
    "新能源汽车的销量在过去一年里增长了百分之三十五，充电设施的建设却没有跟上需求。" * 500,
    "Long texts lose the end of the template, 长文本会丢掉模板的结尾；this one mixes languages. " * 300,
    "0.618 " * 4000,
)
