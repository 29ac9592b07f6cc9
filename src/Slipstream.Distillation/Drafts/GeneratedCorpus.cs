using System.Globalization;
using System.IO.Hashing;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using Slipstream.Sampling;

namespace Slipstream.Distillation.Drafts;

/// <summary>How a target writes its own corpus.</summary>
/// <param name="Count">Texts.</param>
/// <param name="PromptTokens">Tokens of the given text that each begins with.</param>
/// <param name="MaxTokens">The most tokens that follow.</param>
/// <param name="Temperature">Of the sampling; 0 is greedy.</param>
/// <param name="Seed">The seed of the first text; each further one has the next.</param>
internal sealed record GeneratedCorpusOptions(int Count, int PromptTokens, int MaxTokens, double Temperature, ulong Seed)
{
    /// <exception cref="SlipstreamException">A value is out of range.</exception>
    public GeneratedCorpusOptions Checked()
    {
        if (Count < 1) throw new SlipstreamException($"--generate is {Count}; it must be at least 1.");
        if (PromptTokens < 1) throw new SlipstreamException($"--generate-prompt is {PromptTokens}; it must be at least 1.");
        if (MaxTokens < 1) throw new SlipstreamException($"--generate-tokens is {MaxTokens}; it must be at least 1.");
        return this;
    }
}

/// <summary>Sequence-level distillation: texts that the target itself continues, kept as a file with a JSON object a line.</summary>
/// <remarks>
/// Source: Kim and Rush 2016, arXiv:1606.07947. Texts run together in the engine's batch and are written in order; each has a seed of its own, so the file is the same however often the work is cut off.
/// The first line names what the file was made of.
/// </remarks>
internal static class GeneratedCorpus
{
    /// <summary>Reads the corpus of a file, made or completed first where it is not whole.</summary>
    /// <param name="path">The file.</param>
    /// <param name="target">The target.</param>
    /// <param name="fingerprint">The target's fingerprint.</param>
    /// <param name="text">Tokens whose evenly spread windows begin the texts.</param>
    /// <param name="endToken">Ends each text.</param>
    /// <param name="options">How.</param>
    /// <param name="parallel">Texts written at once.</param>
    /// <param name="progress">Told how many texts there are.</param>
    /// <param name="cancellationToken">Ends the work; whole texts stay.</param>
    /// <returns>The tokens of all texts, each ended.</returns>
    /// <exception cref="SlipstreamException">The file was made of something else, or cannot be written.</exception>
    public static async Task<int[]> ReadAsync(string path, LanguageModel target, string fingerprint, ReadOnlyMemory<int> text, int endToken, GeneratedCorpusOptions options, int parallel,
        IProgress<int>? progress = null, CancellationToken cancellationToken = default)
    {
        options.Checked();
        if (text.Length < options.PromptTokens) throw new SlipstreamException($"The text has {text.Length} tokens, fewer than a prompt of {options.PromptTokens}; give more text or a smaller --generate-prompt.");
        string head = Head(fingerprint, text.Span, endToken, options);
        List<int[]> texts = Resume(path, head);
        try
        {
            if (texts.Count < options.Count)
            {
                await using StreamWriter writer = new(path, append: true, new UTF8Encoding(false)) { NewLine = "\n", AutoFlush = true };
                Queue<Task<GenerationResult>> running = [];
                for (int next = texts.Count; texts.Count < options.Count;)
                {
                    while (next < options.Count && running.Count < parallel)
                    {
                        running.Enqueue(target.GenerateAsync(Prompt.Tokens(PromptOf(text.Span, next, options)), new GenerationOptions
                        {
                            MaxNewTokens = options.MaxTokens, Sampling = new SamplingOptions { Temperature = options.Temperature }, Seed = options.Seed + (ulong)next,
                        }, cancellationToken));
                        next++;
                    }
                    GenerationResult result = await running.Dequeue().ConfigureAwait(false);
                    int[] tokens = [.. result.PromptTokens, .. result.Tokens];
                    if (tokens[^1] != endToken) tokens = [.. tokens, endToken];
                    await writer.WriteLineAsync(JsonSerializer.Serialize(tokens)).ConfigureAwait(false);
                    texts.Add(tokens);
                    progress?.Report(texts.Count);
                }
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SlipstreamException($"'{path}' cannot be written: {e.Message.TrimEnd('.')}; free space, or choose another folder.", e);
        }
        return [.. texts.SelectMany(tokens => tokens)];
    }

    private static int[] PromptOf(ReadOnlySpan<int> text, int index, GeneratedCorpusOptions options)
    {
        long last = text.Length - options.PromptTokens;
        return text.Slice((int)(last * index / Math.Max(1, options.Count - 1)), options.PromptTokens).ToArray();
    }

    private static string Head(string fingerprint, ReadOnlySpan<int> text, int endToken, GeneratedCorpusOptions options) => JsonSerializer.Serialize(new SortedDictionary<string, string>(StringComparer.Ordinal)
    {
        ["target"] = fingerprint, ["text"] = XxHash128.HashToUInt128(MemoryMarshal.AsBytes(text)).ToString("x32", CultureInfo.InvariantCulture), ["end"] = FormattableString.Invariant($"{endToken}"), ["options"] = FormattableString.Invariant($"{options}"),
    });

    /// <summary>The whole lines that an earlier run left; the file then holds them and nothing else.</summary>
    private static List<int[]> Resume(string path, string head)
    {
        List<int[]> texts = [];
        try
        {
            string content = File.Exists(path) ? File.ReadAllText(path) : "";
            string[] lines = content.Split('\n');
            // What follows the last line break was cut off.
            for (int i = 0; i < lines.Length - 1; i++)
            {
                if (i == 0 && lines[0] != head) throw new SlipstreamException($"'{path}' was generated by another target, from another text or with other options; remove it, or choose another --output.");
                if (i > 0) texts.Add(JsonSerializer.Deserialize<int[]>(lines[i]) ?? throw new JsonException());
            }
            string whole = head + "\n" + string.Concat(lines.Skip(1).Take(texts.Count).Select(line => line + "\n"));
            if (content != whole) Training.DurableFile.WriteAllText(path, whole);
            return texts;
        }
        catch (JsonException e)
        {
            throw new SlipstreamException($"'{path}' is damaged in line {texts.Count + 2}; remove it and it is made anew.", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SlipstreamException($"'{path}' cannot be read: {e.Message.TrimEnd('.')}.", e);
        }
    }
}
