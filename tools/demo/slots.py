"""Word lists and phrasings of the demo corpus that make_corpus.py combines. A leading ~ keeps a phrasing for evaluation."""

# Other words for the same, put into questions at random; and sentences around a question.
SYNONYMS = {
    "zh": [("怎么", ["如何", "怎样", "咋"]), ("如何", ["怎么", "怎样"]), ("什么", ["啥"]), ("吗", ["么", "嘛"]), ("你", ["您"]), ("可以", ["能", "能够"]),
           ("能", ["可以"]), ("哪里", ["哪儿", "什么地方"]), ("告诉我", ["跟我说说", "说说"]), ("解释", ["说明", "讲解"]), ("介绍", ["讲讲", "说说"]),
           ("为什么", ["为啥", "为何"]), ("多少", ["几"]), ("是什么", ["指什么", "是个什么"]), ("区别", ["不同", "差别"]), ("例子", ["实例", "示例"]),
           ("命令", ["指令"]), ("设置", ["设定", "调整", "改"]), ("有哪些", ["都有什么", "包括哪些"]), ("给我", ["帮我", "替我"]), ("聊天", ["对话"])],
    "en": [("what is", ["what's", "what would be"]), ("how do i", ["how can i", "how to", "how would i", "how does one"]), ("can you", ["could you", "would you", "will you"]),
           ("tell me", ["let me know", "say"]), ("explain", ["describe", "clarify"]), ("which", ["what"]), ("show me", ["give me"]), ("give me", ["show me", "I need"]),
           ("i want", ["I'd like", "I would like"]), ("example", ["sample"]), ("difference", ["distinction"]), ("do you know", ["any idea"]), ("how many", ["what number of"]),
           ("capital", ["capital city"]), ("are there", ["exist"]), ("list", ["name", "show"]), ("do you", ["can you"]), ("set", ["change", "adjust"]), ("important", ["useful"])],
}
WRAPPED = {
    "zh": ["我想知道{q}", "请告诉我{q}", "你能告诉我{q}吗", "{q}，你知道吗", "有个问题，{q}", "问你一下，{q}", "{q}，能说说吗", "帮个忙，{q}", "不好意思，{q}", "再问一个，{q}"],
    "en": ["can you tell me {q}", "I want to know {q}", "do you know {q}", "quick question, {q}", "I have a question: {q}", "let me ask, {q}", "I was wondering {q}", "one thing, {q}",
           "could you say {q}", "next question, {q}"],
}

# Ways to ask what a concept is, why one needs it, and for an example.
WHAT = {
    "zh": """什么是{x} / {x}是什么 / {x}是啥 / 解释一下{x} / 请解释{x} / 介绍一下{x} / 说说{x} / 讲讲{x} / {x}是什么意思 /
我想了解{x} / 能不能解释一下什么是{x} / 你知道{x}吗 / {x}怎么理解 / 帮我科普一下{x} / 给我讲讲{x}吧 / 什么叫{x} / {x}指的是什么 /
{x}的定义是什么 / 用一句话解释{x} / 简单介绍{x} / {x} / 我不懂{x} / 不明白{x}是什么 / 何为{x} / 告诉我{x}是什么 / 聊聊{x} / 听说过{x}吗 /
{x}到底是什么东西 / 啥是{x} / 请问{x}是什么 / 那{x}呢 / 说一下{x} / {x}是什么东西 / 我想知道什么是{x} / 可以讲一下{x}吗 /
{x}的含义是什么 / 谈一谈{x} / 请教一下{x} / {x}这个词怎么解释 / 帮我说明{x} / 弄不懂{x} / 麻烦解释{x} / 能给我说明一下{x}吗 / 我一直没弄懂{x}是什么 /
~想请教一下{x}是什么 / ~{x}这个词是什么意思呢 / ~麻烦讲一下{x}的含义 / ~谈谈{x}""",
    "en": """what is {x} / what's {x} / explain {x} / please explain {x} / tell me about {x} / can you explain {x} / what does {x} mean /
define {x} / describe {x} / do you know {x} / what exactly is {x} / give me a definition of {x} / I want to know about {x} / {x} /
what is meant by {x} / could you tell me what {x} is / help me understand {x} / I don't understand {x} / explain {x} in one sentence /
what do you know about {x} / introduce {x} / and what about {x} / so what is {x} / talk about {x} / have you heard of {x} /
explain {x} to me / what is the meaning of {x} / tell me what {x} is / in simple words, what is {x} / what about {x} /
I never understood {x} / what is the definition of {x} / how do you define {x} / would you describe {x} / short explanation of {x} please / I would like to know what {x} is /
would you explain what {x} is / please describe what {x} means / ~I have never understood {x} / ~how would you define {x} / ~give a short explanation of {x} / ~I'd like to learn about {x}""",
}
WHY = {
    "zh": """为什么需要{x} / {x}有什么用 / 为什么要用{x} / {x}的作用是什么 / {x}有什么好处 / 为啥要{x} / {x}为什么重要 / 用{x}有什么意义 /
{x}能带来什么好处 / {x}的用处 / 为何要用{x} / {x}有何用 / {x}解决什么问题 / 没有{x}会怎样 / {x}的用处是什么 / ~{x}能带来什么 / ~为何需要{x}""",
    "en": """why do we need {x} / what is {x} good for / why is {x} important / what is {x} for / why use {x} / what is the use of {x} /
what is the benefit of {x} / why would I need {x} / what purpose does {x} have / what's the purpose of {x} / what is the point in {x} / why does anyone use {x} / what problem does {x} solve /
what's the point of {x} / ~why does one need {x} / ~what is the purpose of {x}""",
}
EXAMPLE = {
    "zh": "举一个{x}的例子 / {x}有什么例子 / 给我一个{x}的例子 / 能举例说明{x}吗 / 用例子解释{x} / {x}举例 / 举例说明{x} / {x}举个例子 / 可以给一个{x}的例子吗 / 请用例子说明{x} / ~{x}能举个例子吗",
    "en": """give an example of {x} / show me an example of {x} / can you give an example for {x} / an example of {x} please / explain {x} by an example / {x}, for example / is there any example for {x} / what would be an example of {x} /
explain {x} with an example / ~is there an example of {x}""",
}
DIFFERENCE = {
    "zh": """{x}和{y}有什么区别 / {x}和{y}有什么不同 / {x}跟{y}的区别 / 比较一下{x}和{y} / {x}与{y}的区别是什么 / {x}和{y}哪个好 /
区分一下{x}和{y} / {x}和{y}的差别 / {x}、{y}的不同之处 / {x}和{y}差别在哪 / ~{x}、{y}有何不同""",
    "en": """what is the difference between {x} and {y} / how does {x} differ from {y} / compare {x} and {y} / {x} vs {y} / {x} or {y} /
difference between {x} and {y} / are {x} and {y} different / {x} versus {y} / what is different between {x} and {y} / ~how are {x} and {y} different / ~{x} versus {y}, what is different""",
}

# Follow-ups that lean on the previous turn.
AGAIN = {
    "zh": "再说一遍 / 请再说一遍 / 重复一下 / 我没听清 / 你刚才说什么 / 能再说一次吗 / 再讲一遍 / 重复一遍 / 没看清，再来一遍 / 请重复一次 / 刚才说的什么 / 再说一次 / 重复你的话 / 再来一次 / 刚才那句再说说 / 我忘了，再说一遍 / 麻烦重复一次 / ~刚才的话再说一次",
    "en": """say that again / repeat that / please repeat / can you say that again / what did you say / once more please / come again /
repeat your answer / pardon / one more time / can you repeat that / tell me again / could you say it again / repeat it / I did not catch that / say it one more time / could you repeat it / ~tell me that one more time""",
}
TRANSLATE = {  # keyed by the language wanted
    "en": """用英文说 / 用英语说一遍 / 翻译成英文 / 英文怎么说 / 请用英文 / 能用英语说吗 / 换成英文 / say it in English / in English please / in English /
translate it into English / can you say that in English / 用英文再说一遍 / 用英语讲 / 英语版 / 把它翻成英语 / repeat that in English / tell me in English / the same in English / ~用英文再讲一次 / ~repeat it in English""",
    "zh": """用中文说 / 翻译成中文 / 中文怎么说 / 请用中文 / 换成中文 / 用中文说一遍 / say it in Chinese / in Chinese please / in Chinese /
translate it into Chinese / can you say that in Chinese / 用中文再说一遍 / 用汉语讲 / 中文版 / 把它翻成中文 / repeat that in Chinese / tell me in Chinese / the same in Chinese / ~用中文再讲一次 / ~repeat it in Chinese""",
}
MORE = {
    "zh": "再详细一点 / 详细说说 / 还有呢 / 多说一点 / 继续 / 展开讲讲 / 能再详细点吗 / 再多介绍一些 / 我还想了解更多 / 说详细点 / 讲细一点 / 能说得更多吗 / 接着说 / 往下讲 / 可以讲得更详细吗 / 更多细节 / 再说说 / 可以说得更细一些吗 / ~接着讲",
    "en": """tell me more / explain more / more details please / go on / continue / can you explain more / more / please elaborate /
I want to know more / what else / say more / a bit more please / in more detail / can you go on / could you say more / give me details / keep going / say a bit more / ~could you go into detail""",
}
EXAMPLE_AGAIN = {
    "zh": "举个例子 / 能举个例子吗 / 比如呢 / 给个例子 / 有例子吗 / 例如 / 请举例说明 / 可以举个例子吗 / 来个例子 / 举例看看 / 打个比方 / 有没有例子 / 说个例子吧 / 能举例吗 / 来个例子吧 / ~可以举例吗",
    "en": """give an example / for example / give me an example / can you give an example / an example please / any examples /
show me an example / do you have any example / could you give an example / is there an example / I need an example / one example / can I see an example / could I have an example / ~do you have an example""",
}
WHY_AGAIN = {
    "zh": "为什么 / 为什么呢 / 为啥 / 原因是什么 / 为什么需要它 / 这是为什么 / 什么原因呢 / 为什么会这样 / 怎么会呢 / 说说原因 / 理由是什么 / 为什么这样 / 它有什么用 / 这有什么用 / 这是为什么呀 / ~什么原因",
    "en": "why / why is that / why so / what for / how come / why do we need it / what is it good for / why is it like that / what is the reason / for what / tell me why / why exactly / what's the reason / for what reason / ~why is it so",
}
NO_EXAMPLE = {
    "zh": ["抱歉，这个我举不出例子。", "这个我没有例子，你可以换一个问题。"],
    "en": ["Sorry, I have no example for that.", "I have no example here; please try another question."],
}
NO_MORE = {
    "zh": ["我知道的就这些了，我只是一个很小的演示模型。", "就是这些了，更多内容可以看 docs 目录。"],
    "en": ["That is all I know; I am only a small demo model.", "That is all. The docs folder has more."],
}
NO_WHY = {
    "zh": ["我只知道这些，说不出更多原因了。", "抱歉，原因我也说不清楚，我只是个小模型。"],
    "en": ["That is all I know; I cannot say why.", "Sorry, I cannot explain the reason; I am a small model."],
}
NOTHING_BEFORE = {
    "zh": ["我们刚开始聊，你想了解什么？", "你想问哪方面的内容？请说得具体一点。"],
    "en": ["We have only just started. What do you want to know?", "What is it about? Please ask more precisely."],
}

# Things the user says of himself, to be remembered: statements, answers, questions, recalls.
MEMORY = {
    "name": {
        "zh": ("我叫{v} / 我的名字是{v} / 我是{v} / 你好，我叫{v} / 叫我{v}吧 / 你可以叫我{v} / 我名叫{v} / 大家都叫我{v} / 记住，我叫{v} / ~我的名字叫{v} / ~在下{v}",
               ["你好，{v}！很高兴认识你。", "{v}，你好！我记住了。", "好的，{v}，很高兴认识你！"],
               "我叫什么名字 / 我叫什么 / 我是谁 / 你知道我叫什么吗 / 我的名字是什么 / 你还记得我的名字吗 / 你记得我叫什么吗 / 还记得我是谁吗 / 说出我的名字 / 我的名字 / 我刚才说过我的名字，是什么 / 我说过我叫什么吗 / 我姓什么叫什么 / 请说我的名字 / 我名字叫啥 / 你该怎么称呼我 / 说说我的名字 / ~我刚才说我叫什么",
               ["你叫{v}。", "你的名字是{v}。", "我记得，你叫{v}。"],
               ["你还没有告诉我你的名字。", "我还不知道你的名字，你可以告诉我。"]),
        "en": ("my name is {v} / I am {v} / I'm {v} / call me {v} / hi, my name is {v} / hello, I am {v} / you can call me {v} / please call me {v} / ~the name is {v} / ~people call me {v}",
               ["Hello, {v}! Nice to meet you.", "Hi {v}! I will remember that.", "Nice to meet you, {v}!"],
               "what is my name / what's my name / who am I / do you know my name / do you remember my name / can you tell me my name / what am I called / what did I tell you my name was / did I say my name / tell me my name / my name is what / what name did I give you / do you know who I am / please say my name / say my name / ~what did I say my name was",
               ["Your name is {v}.", "You are {v}.", "I remember: your name is {v}."],
               ["You have not told me your name yet.", "I do not know your name yet. You can tell me."]),
    },
    "city": {
        "zh": ("我住在{v} / 我来自{v} / 我在{v}工作 / 我家在{v} / 我是{v}人 / ~我目前在{v}生活",
               ["好的，我记住了，你在{v}。", "{v}是个好地方！"],
               "我住在哪里 / 我来自哪里 / 我在哪个城市 / 你记得我住哪儿吗 / 我家在哪 / 我说过我住哪里吗 / 我在哪座城市 / 我刚才说我在哪里 / 你知道我住哪里吗 / 我提到过哪座城市 / 我在哪个地方 / ~我说过我在哪座城市吗",
               ["你在{v}。", "你说过，你在{v}。"],
               ["你还没有告诉我你住在哪里。"]),
        "en": ("I live in {v} / I am from {v} / my home is in {v} / I work in {v} / I'm from {v} / ~these days I live in {v}",
               ["Good, I will remember: {v}.", "{v} is a nice place!"],
               "where do I live / where am I from / which city do I live in / do you remember where I live / what city did I say / which city did I mention / where did I say I live / what is my city / what city did I tell you / ~what city did I mention",
               ["You live in {v}.", "You said {v}."],
               ["You have not told me where you live."]),
    },
    "colour": {
        "zh": ("我喜欢{v} / 我最喜欢的颜色是{v} / 我最爱{v} / ~{v}是我最喜欢的颜色",
               ["好的，你喜欢{v}，我记住了。", "{v}很好看！"],
               "我喜欢什么颜色 / 我最喜欢的颜色是什么 / 你记得我喜欢的颜色吗 / 我爱什么颜色 / 我说过我喜欢哪种颜色 / 我喜欢的是哪种颜色 / 说说我喜欢的颜色 / ~我爱的是哪种颜色",
               ["你喜欢{v}。", "你最喜欢的颜色是{v}。"],
               ["你还没有告诉我你喜欢什么颜色。"]),
        "en": ("I like {v} / my favourite colour is {v} / my favorite color is {v} / ~{v} is my favorite color",
               ["Good, you like {v}. I will remember.", "{v} is a nice colour!"],
               "what colour do I like / what is my favorite color / what is my favourite colour / do you remember my color / which color do I like / what colour did I say I like / which colour do I like most / tell me my favorite colour / ~which colour is my favourite",
               ["You like {v}.", "Your favourite colour is {v}."],
               ["You have not told me your favourite colour."]),
    },
}

SURNAMES = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕苏卢蒋蔡贾丁魏薛叶阎余潘杜戴夏钟汪田任姜范方石姚谭廖邹熊金陆郝孔白崔康毛邱秦江史顾侯邵孟龙万段雷钱汤尹黎易常武乔贺赖龚文"
GIVEN = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华玉兰红建国志文斌宇浩然子轩梓涵雨欣怡思佳琪晨阳天乐安宁心悦小云飞龙雪梅春夏秋月星辰海波林森山峰青松竹菊若溪清泉晓东南北西大力成功家豪俊凯旋博学知行诗书画琴棋瑶琳瑾瑜嘉诚信义仁德福寿康健"
NICKNAMES = "小明 小红 小华 小李 小张 小王 阿明 阿强 老王 老张 小美 小芳 小龙 小雨 大伟 豆豆 乐乐 小刚 小强 小丽 阿珍 小天 小飞 小雪 圆圆 妞妞 阿杰 小林 小陈 老李 小云 团团"
ENGLISH_NAMES = """Tom Alice Bob Jack Mary John Lucy Peter Anna David Emma James Kate Lily Mike Nina Oliver Paul Rose Sam
Sarah Tim Victor Wendy Henry Grace Frank Eva Daniel Clara Ben Amy Chris Diana Eric Fiona George Helen Ivan Julia Kevin Laura
Mark Nancy Oscar Penny Ray Sophie Tina Leo Max Zoe Noah Mia Ella Lucas Ethan Chloe Ryan Adam Carl Dora Felix Gina Hugo Iris Jane
Karl Linda Maria Nick Olga Philip Ruth Simon Tara Vera Walter Alex Andrew Becky Charlie Edward Ken Larry Molly Robert Steven Susan"""
HELDOUT_NAMES = {"zh": ["小航", "欧阳锋", "赵子龙", "阿宝", "诸葛亮", "林晓梅", "周小北", "小薇"],
                 "en": ["Gabriel", "Martha", "Quentin", "Isabel", "Derek", "Xenia", "Marvin", "Lola"]}

CITIES = {"zh": "北京 上海 广州 深圳 杭州 成都 南京 武汉 西安 重庆 天津 苏州 长沙 青岛 厦门 大连 昆明 哈尔滨 伦敦 巴黎 东京 纽约".split(),
          "en": "Beijing Shanghai Shenzhen London Paris Tokyo Berlin Madrid Rome Boston Chicago Sydney Vienna Dublin Oslo Seattle".split()}
COLOURS = {"zh": "红色 蓝色 绿色 黄色 白色 黑色 紫色 橙色 粉色 灰色".split(),
           "en": "red blue green yellow white black purple orange pink grey".split()}
TOPICS = {"zh": "春天 友谊 环保 足球 历史 科技 旅游 美食 音乐 电影 经济 教育 人工智能 太空 健康 故乡 大海 英语 物理 化学 爱情 秦始皇 明星 游戏".split(),
          "en": """spring, friendship, football, history, technology, travel, food, music, movies, economics, education, space, health,
the sea, physics, chemistry, love, games, cats, art, ancient Rome, robots, farming""".replace("\n", " ").split(", ")}
PROGRAM_LANGUAGES = "Python Java C++ JavaScript Rust Go SQL HTML".split()

CAPITALS = {  # country zh, capital zh, country en, capital en
    "china": ("中国", "北京", "China", "Beijing"), "japan": ("日本", "东京", "Japan", "Tokyo"), "france": ("法国", "巴黎", "France", "Paris"),
    "uk": ("英国", "伦敦", "the United Kingdom", "London"), "usa": ("美国", "华盛顿", "the United States", "Washington"),
    "germany": ("德国", "柏林", "Germany", "Berlin"), "italy": ("意大利", "罗马", "Italy", "Rome"), "spain": ("西班牙", "马德里", "Spain", "Madrid"),
    "russia": ("俄罗斯", "莫斯科", "Russia", "Moscow"), "korea": ("韩国", "首尔", "South Korea", "Seoul"), "india": ("印度", "新德里", "India", "New Delhi"),
    "canada": ("加拿大", "渥太华", "Canada", "Ottawa"), "australia": ("澳大利亚", "堪培拉", "Australia", "Canberra"),
    "brazil": ("巴西", "巴西利亚", "Brazil", "Brasilia"), "egypt": ("埃及", "开罗", "Egypt", "Cairo"), "thailand": ("泰国", "曼谷", "Thailand", "Bangkok"),
    "vietnam": ("越南", "河内", "Vietnam", "Hanoi"), "greece": ("希腊", "雅典", "Greece", "Athens"), "portugal": ("葡萄牙", "里斯本", "Portugal", "Lisbon"),
    "austria": ("奥地利", "维也纳", "Austria", "Vienna"), "norway": ("挪威", "奥斯陆", "Norway", "Oslo"), "sweden": ("瑞典", "斯德哥尔摩", "Sweden", "Stockholm"),
}
CAPITAL = {
    "zh": "{x}的首都是哪里 / {x}首都是哪 / {x}的首都是什么 / {x}的首都在哪里 / {x}的首都叫什么 / 哪个城市是{x}的首都 / 你知道{x}的首都吗 / 请说出{x}的首都 / ~{x}首都是哪座城市",
    "en": "what is the capital of {x} / what's the capital of {x} / capital of {x} / which city is the capital of {x} / tell me the capital of {x} / do you know the capital of {x} / name the capital of {x} / ~which is {x}'s capital",
}
CAPITAL_OF = {"zh": "{x}是哪个国家的首都 / 哪个国家的首都是{x} / {x}是哪个国家首都 / {x}属于哪国的首都 / ~{x}是哪国的首都",
              "en": "{x} is the capital of which country / which country has the capital {x} / ~what country is {x} the capital of"}
WEEKDAYS = {"zh": ["星期一", "星期二", "星期三", "星期四", "星期五", "星期六", "星期日"],
            "en": ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]}
WEEKDAY_AFTER = {"zh": "{x}的后一天是星期几 / {x}之后是星期几 / 今天是{x}，明天是星期几 / {x}后面是星期几 / {x}过后是星期几 / ~过了{x}是星期几",
                 "en": "what day comes after {x} / which day is after {x} / today is {x}, what day is tomorrow / the day after {x} is what / what follows {x} / ~what is the day after {x}"}
WEEKDAY_BEFORE = {"zh": "{x}的前一天是星期几 / {x}之前是星期几 / 今天是{x}，昨天是星期几 / {x}前面一天是星期几 / 什么日子在{x}前面 / ~{x}前面是星期几",
                  "en": "what day comes before {x} / which day is before {x} / today is {x}, what day was yesterday / the day before {x} is what / what precedes {x} / ~what is the day before {x}"}
THING_COLOURS = {"sky": ("天空", "蓝色", "the sky", "blue"), "grass": ("草", "绿色", "grass", "green"), "snow": ("雪", "白色", "snow", "white"),
                 "coal": ("煤", "黑色", "coal", "black"), "banana": ("香蕉", "黄色", "a ripe banana", "yellow"), "blood": ("血", "红色", "blood", "red"),
                 "grape": ("葡萄", "紫色", "a grape", "purple"), "carrot": ("胡萝卜", "橙色", "a carrot", "orange"), "milk": ("牛奶", "白色", "milk", "white")}
THING_COLOUR = {"zh": "{x}是什么颜色 / {x}是什么颜色的 / {x}的颜色是什么 / {x}是哪种颜色 / {x}什么颜色 / ~{x}是哪种颜色的",
                "en": "what color is {x} / what colour is {x} / what is the color of {x} / the color of {x} / which color is {x} / ~tell me the color of {x}"}

# System prompts.
PLAIN_SYSTEM = ["You are a helpful assistant.", "You are a friendly assistant.", "You are duan's demo model.", "你是一个有用的助手。", "你是一个友好的助手。",
                "你是 duan 的演示模型。", "Be polite.", "请简洁回答。", "Answer briefly.", "你是一个聪明的助手，请认真回答问题。", "请礼貌地回答。"]
LANGUAGE_SYSTEM = {
    "en": ["请用英文回答", "请用英文回答。", "Please answer in English.", "Always answer in English.", "只用英文回答。", "你只会说英文。", "Speak English only.",
           "无论用户说什么语言，都用英语回答。", "You are a helpful assistant. Answer in English."],
    "zh": ["请用中文回答", "请用中文回答。", "Please answer in Chinese.", "Always answer in Chinese.", "只用中文回答。", "你只会说中文。", "Speak Chinese only.",
           "无论用户说什么语言，都用中文回答。", "You are a helpful assistant. Answer in Chinese."],
}
PERSONA_SYSTEM = {"zh": ["你叫{v}。", "你是{v}，一个友好的助手。", "你的名字是{v}。", "你是{v}。", "你是一个名叫{v}的助手。"],
                  "en": ["Your name is {v}.", "You are {v}, a friendly assistant.", "You are {v}.", "You are an assistant called {v}."]}
PERSONA_WHO = {"zh": ["我是{v}，很高兴认识你。", "我叫{v}，有什么可以帮你的吗？"], "en": ["I am {v}. How can I help you?", "My name is {v}. Nice to meet you."]}
PERSONA_HELLO = {"zh": ["你好！我是{v}。", "你好，我叫{v}，有什么可以帮你的吗？"], "en": ["Hello! I am {v}.", "Hi, I am {v}. How can I help you?"]}


def phrases(text, heldout=False):
    """The phrasings of a ' / ' separated text: those for training, or the ones marked ~."""
    parts = [part.strip() for part in text.replace("\n", " ").split(" / ")]
    return [part.lstrip("~") for part in parts if part and part.startswith("~") == heldout]
