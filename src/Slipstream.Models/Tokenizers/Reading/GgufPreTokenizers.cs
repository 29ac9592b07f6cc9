namespace Slipstream.Models;

/// <summary>The split patterns that a GGUF file names by <c>tokenizer.ggml.pre</c> only.</summary>
internal static class GgufPreTokenizers
{
    public const string Llama3 =
        @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    public const string Qwen2 =
        @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    // Each pattern cuts what the one before it left; where the model is Llama 3's, words of the vocabulary are taken whole and the begin token is added.
    private static readonly Dictionary<string, (string[] Patterns, bool IsLlama3)> Known = new()
    {
        ["gpt-2"] = ([SplitPattern.Gpt2], false),
        ["phi-2"] = ([SplitPattern.Gpt2], false),
        ["smollm"] = ([@"\p{N}", SplitPattern.Gpt2], false),
        ["starcoder"] = ([@"\p{N}", SplitPattern.Gpt2], false),
        ["refact"] = ([@"\p{N}", SplitPattern.Gpt2], false),
        ["falcon"] = ([@"[\p{P}\$\+<=>\^~\|`]+", SplitPattern.Gpt2, "[0-9][0-9][0-9]"], false),
        ["llama-bpe"] = ([Llama3], true),
        ["llama3"] = ([Llama3], true),
        ["llama-v3"] = ([Llama3], true),
        ["qwen2"] = ([Qwen2], false),
        ["deepseek-r1-qwen"] = ([Qwen2], false),
    };

    /// <summary>The pre-tokenizers of that name, and whether the tokenizer is Llama 3's.</summary>
    /// <exception cref="SlipstreamException">The name is not known.</exception>
    public static (PreTokenizer[] PreTokenizers, bool IsLlama3) Find(string name, string source)
    {
        if (!Known.TryGetValue(name, out (string[] Patterns, bool IsLlama3) known))
            throw new SlipstreamException(
                $"'{source}': the pre-tokenizer '{TokenizerField.Shortened(name)}' (tokenizer.ggml.pre) is not supported, only {string.Join(", ", Known.Keys.Order(StringComparer.Ordinal))}; give token ids instead of text.");
        return ([.. known.Patterns.Select(pattern => new SplitPreTokenizer(SplitPattern.Compile(pattern, source), SplitBehavior.Isolated, false))], known.IsLlama3);
    }
}
