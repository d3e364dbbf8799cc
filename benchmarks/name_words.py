"""The words that the made-up models of the search benchmark are called with, common ones first."""

TYPES = {
    "lora": 45,
    "checkpoint": 16,
    "llm": 20,
    "embedding": 4,
    "controlnet": 3,
    "vae": 2,
    "diffusion_model": 4,
    "upscaler": 2,
    "embedding_model": 2,
    "audio": 2,
}
"""What a model is, and how many of a hundred are."""

PICTURE_FAMILIES = (
    *("SDXL", "SD15", "Pony", "Illustrious", "Flux", "NoobAI", "Wan", "SD3.5", "Qwen-Image"),
    *("Hunyuan", "LTX", "Chroma", "PixArt", "Kolors", "HiDream", "AuraFlow"),
)

LANGUAGE_FAMILIES = (
    *("Llama-3.1", "Qwen2.5", "Mistral", "Llama-3.2", "Qwen3", "gemma-2", "Llama-2", "Phi-3"),
    *("DeepSeek-R1", "Mixtral", "gemma-3", "Llama-3", "Yi-1.5", "SmolLM2", "falcon", "Whisper"),
    *("granite-3.3", "OLMo-2", "glm-4", "InternLM2.5", "Command-R", "StarCoder2", "bge", "e5"),
)

LANGUAGE_WORDS = (
    *("Instruct", "Chat", "it", "Coder", "base", "hf", "Distill", "Vision", "DPO", "merge"),
    *("abliterated", "uncensored", "roleplay", "Math", "AWQ", "GPTQ", "Reasoning", "SFT", "math"),
    *("german", "japanese", "korean", "medical", "finance", "legal", "story", "storywriter"),
)

QUANTISATIONS = (
    *("Q4_K_M", "Q8_0", "Q5_K_M", "Q6_K", "Q4_K_S", "Q4_0", "Q3_K_M", "IQ4_XS", "Q2_K", "Q5_K_S"),
    *("f16", "IQ3_M", "Q3_K_L", "Q3_K_S", "IQ2_XXS", "UD-Q4_K_XL", "BF16", "IQ1_S", "Q5_0"),
)

SUFFIXES = (
    *("fp16", "pruned", "fp8", "bakedvae", "lightning", "turbo", "000010", "000008", "final"),
    *("bf16", "inpainting", "8steps", "fp8_e4m3fn", "lcm", "ema", "test", "(1)", "hyper", "nf4"),
    *("rank32", "copy", "2024-05-11", "epoch12", "noVAE", "beta", "alpha", "step00002000"),
)

STYLE_WORDS = (
    *("style", "mix", "anime", "realistic", "xl", "detail", "art", "girl", "character", "photo"),
    *("real", "diffusion", "dark", "fantasy", "cute", "portrait", "dream", "light", "realism"),
    *("concept", "pixel", "retro", "cinematic", "film", "illustration", "painting", "comic"),
    *("cartoon", "vintage", "cyberpunk", "sketch", "ink", "watercolor", "manga", "noir", "neon"),
    *("clothing", "dress", "armor", "hair", "eyes", "hands", "pose", "background", "landscape"),
    *("city", "forest", "ocean", "night", "summer", "winter", "horror", "gothic", "steampunk"),
    *("dragon", "cat", "robot", "mecha", "ghibli", "disney", "oil", "clay", "paper", "glass"),
    *("gold", "crystal", "fire", "water", "smoke", "shadow", "color", "flat", "line", "simple"),
    *("ultra", "hyper", "super", "mega", "pro", "plus", "lite", "mini", "merge", "unreal"),
    *("epic", "juggernaut", "deliberate", "dreamshaper", "majic", "photon", "absolute", "zavy"),
)

TAGS = (
    *("character", "style", "anime", "woman", "base model", "realistic", "concept", "clothing"),
    *("photorealistic", "girls", "game character", "poses", "background", "tool", "animal"),
    *("text-generation", "conversational", "en", "transformers", "gguf", "merge", "mergekit"),
    *("imatrix", "lora", "text-to-image", "diffusers", "celebrity", "vehicle", "buildings"),
    *("objects", "assets", "action", "landscape", "sci-fi", "fantasy", "cartoon", "3d", "zh"),
    *("comics", "video games", "genshin impact", "hololive", "portrait", "illustration", "ja"),
    *("nature", "food", "retro", "film", "architecture", "logo", "art", "license:apache-2.0"),
)

ENGLISH = (
    *("the", "a", "of", "and", "to", "is", "model", "this", "for", "with", "in", "on", "it"),
    *("images", "trained", "use", "you", "can", "at", "weight", "from", "style", "that", "my"),
    *("training", "prompt", "good", "results", "better", "more", "version", "new", "steps"),
    *("recommended", "sampler", "scale", "base", "merged", "quantized", "using", "dataset"),
    *("works", "best", "strength", "high", "quality", "resolution", "please", "first", "some"),
    *("between", "faces", "hands", "lighting", "skin", "details", "without", "negative", "fixed"),
    *("released", "update", "less", "overfit", "test", "experimental", "support", "thanks"),
)

CJK_WORDS = (
    *("模型", "写实", "动漫", "国风", "少女", "风格", "摄影", "水墨", "人像", "建筑", "古风"),
    *("汉服", "插画", "二次元", "室内", "设计", "原神", "中文", "大模型", "光影", "机甲"),
    *("アニメ", "モデル", "キャラ", "日本語", "風", "美少女", "浮世絵", "ゲーム", "初音ミク"),
    *("모델", "한국어", "스타일", "한복", "소녀", "실사", "애니", "믹스"),
)

SYLLABLES = (
    *("ka", "ri", "mo", "sen", "ta", "lu", "ne", "vi", "zor", "el", "an", "dra", "shi", "ko"),
    *("mar", "tin", "bel", "lo", "ren", "qua", "fi", "gor", "ya", "su", "mi", "ch", "ton", "wen"),
    *("hal", "ber", "to", "xi", "ju", "pe", "no", "ra", "ul", "ver", "ast", "ion", "cyr", "eth"),
    *("om", "ga", "zen", "li", "ar", "bo", "du", "fen", "gri", "hu", "is", "jan", "kel", "mun"),
)
