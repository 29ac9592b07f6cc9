using System.CommandLine;
using System.Diagnostics;
using System.Text;
using System.Text.Json;
using Slipstream.Distillation.Tokenizers;
using static Slipstream.Trainer.Texts;

namespace Slipstream.Trainer.Commands;

/// <summary><c>slipstream-train tokenizer</c>: learns a tokenizer from text files.</summary>
internal static class TokenizerCommand
{
    public static Command Create()
    {
        Option<string[]> text = new("--text") { Description = "A UTF-8 text file to learn from; documents are separated by <|endoftext|>. May be given more than once.", Required = true, HelpName = "FILE", AllowMultipleArgumentsPerToken = true };
        Option<int> vocabulary = new("--vocabulary") { Description = "Tokens, the 256 bytes and 3 special ones included.", DefaultValueFactory = _ => 4096, HelpName = "N" };
        Option<int> frequency = new("--min-frequency") { Description = "How often a pair must occur to become a token.", DefaultValueFactory = _ => 2, HelpName = "N" };
        Option<string> output = new("--output") { Description = "The folder for tokenizer.json and tokenizer_config.json.", Required = true, HelpName = "FOLDER" };
        Option<bool> json = new("--json") { Description = "Print one JSON object and nothing else." };
        Command command = new("tokenizer", "Learn a byte-level BPE tokenizer from text files.") { text, vocabulary, frequency, output, json };
        command.SetAction((result, cancellationToken) => Task.Run(
            () => Run(result, result.GetValue(text)!, new BpeTrainerOptions { VocabularySize = result.GetValue(vocabulary), MinimumFrequency = result.GetValue(frequency) }, result.GetValue(output)!, result.GetValue(json), cancellationToken),
            CancellationToken.None));
        return command;
    }

    private static int Run(ParseResult result, string[] files, BpeTrainerOptions options, string output, bool json, CancellationToken cancellationToken)
    {
        TextWriter error = result.InvocationConfiguration.Error;
        long start = Stopwatch.GetTimestamp(), characters = 0, noted = 0;
        // Refused before the text is read, not after it.
        if (options.VocabularySize < options.LeastVocabularySize)
            throw new SlipstreamException($"--vocabulary {options.VocabularySize} is too small: 256 bytes and {options.SpecialTokens.Count} special tokens take {options.LeastVocabularySize}; give at least that.");
        if (options.MinimumFrequency < 1)
            throw new SlipstreamException($"--min-frequency is {options.MinimumFrequency}; give at least 1.");
        WordCounter counter = new(options.SpecialTokens);
        foreach (string part in TextFiles.Read(files, options.SpecialTokens))
        {
            cancellationToken.ThrowIfCancellationRequested();
            counter.Add(part);
            characters += part.Length;
            if (characters - noted >= 16 << 20)
                error.WriteLine(Invariant($"read {(noted = characters) / 1e6:0} million characters, {counter.Counts.Count} different words"));
        }
        if (counter.Counts.Count == 0)
            throw new SlipstreamException($"'{string.Join("', '", files)}' has no text to learn from; give a file with text in it.");
        TrainedTokenizer tokenizer = BpeTrainer.Train(counter.Counts, options, null, cancellationToken);
        tokenizer.Write(output);
        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        if (tokenizer.Tokens.Count < options.VocabularySize)
            error.WriteLine(Invariant(
                $"warning: the vocabulary has {tokenizer.Tokens.Count} tokens instead of {options.VocabularySize}, for no other pair occurs {options.MinimumFrequency} times; give more text, or a lower --min-frequency."));
        if (json)
            result.InvocationConfiguration.Output.WriteLine(Json(tokenizer, output, characters, counter.Counts.Count, seconds));
        else
            error.WriteLine(Invariant($"{tokenizer.Tokens.Count} tokens from {characters / 1e6:0.0} million characters ({counter.Counts.Count} different words) in {seconds:0.0} s: {output}"));
        return 0;
    }

    private static string Json(TrainedTokenizer tokenizer, string output, long characters, int words, double seconds)
    {
        using MemoryStream stream = new();
        using (Utf8JsonWriter writer = new(stream))
        {
            writer.WriteStartObject();
            writer.WriteString("output", output);
            writer.WriteNumber("vocabulary", tokenizer.Tokens.Count);
            writer.WriteNumber("merges", tokenizer.Merges.Count);
            writer.WriteNumber("characters", characters);
            writer.WriteNumber("words", words);
            writer.WriteNumber("seconds", Math.Round(seconds, 3));
            writer.WriteEndObject();
        }
        return Encoding.UTF8.GetString(stream.ToArray());
    }
}
