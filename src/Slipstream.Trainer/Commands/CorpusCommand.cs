using System.CommandLine;
using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using Slipstream.Distillation.Corpus;
using Slipstream.Distillation.Training;

namespace Slipstream.Trainer.Commands;

/// <summary><c>slipstream-train corpus</c>: prompts for a corpus of stories, and the training text from a model's answers to them.</summary>
internal static class CorpusCommand
{
    private static readonly JsonSerializerOptions s_plain = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static Command Create() => new("corpus", "Make a corpus of simple stories: prompts for 'slipstream generate --prompts', and a text from the answers.") { Prompts(), Text() };

    private static Command Prompts()
    {
        Option<int> count = new("--count") { Description = "How many prompts, no two alike.", DefaultValueFactory = _ => 24000, HelpName = "N" };
        Option<int> seed = new("--seed") { Description = "The same seed gives the same prompts.", DefaultValueFactory = _ => 1, HelpName = "N" };
        Option<string?> exclude = new("--exclude") { Description = "A JSONL file whose 'chat' messages must not occur: prompts held out for evaluation.", HelpName = "FILE" };
        Option<string> output = new("--output") { Description = "The JSONL file to write.", Required = true, HelpName = "FILE" };
        Command command = new("prompts", "Fill word lists into patterns.") { count, seed, exclude, output };
        command.SetAction(result =>
        {
            int number = result.GetValue(count);
            if (number < 1) throw new SlipstreamException($"--count is {number}; give at least 1.");
            HashSet<string> excluded = result.GetValue(exclude) is { } file ? ReadChats(file) : [];
            WriteWhole(result.GetValue(output)!, StoryPrompts.Create(number, result.GetValue(seed), excluded).Select(Request));
        });
        return command;
    }

    private static Command Text()
    {
        Option<string> prompts = new("--prompts") { Description = "The prompts, as 'corpus prompts' wrote them.", Required = true, HelpName = "FILE" };
        Option<string> answers = new("--answers") { Description = "What 'slipstream generate --prompts' wrote for them; it may still be growing.", Required = true, HelpName = "FILE" };
        Option<string> output = new("--output") { Description = "The text file to write, documents separated by <|endoftext|>.", Required = true, HelpName = "FILE" };
        Option<bool> json = new("--json") { Description = "Print one JSON object and nothing else." };
        Command command = new("text", "Turn answers into a training text: what repeats itself, breaks off early or is not plain English is left out.") { prompts, answers, output, json };
        command.SetAction(result =>
        {
            StoryText text = new();
            WriteWhole(result.GetValue(output)!, Documents(text, result.GetValue(prompts)!, result.GetValue(answers)!));
            StoryTextReport report = text.Report;
            if (result.GetValue(json))
                result.InvocationConfiguration.Output.WriteLine(JsonSerializer.Serialize(new { documents = report.Documents, @short = report.Short, repetitive = report.Repetitive, foreign = report.Foreign, duplicates = report.Duplicates, characters = report.Characters }));
            else
                result.InvocationConfiguration.Error.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{report.Documents} documents, {report.Characters / 1e6:0.0} million characters; left out: {report.Short} short, {report.Repetitive} repetitive, {report.Foreign} not plain English, {report.Duplicates} seen before"));
        });
        return command;
    }

    /// <summary>The line of a request: its style is set by a system message, its sampling is the corpus's own.</summary>
    private static string Request(StoryPrompt prompt) => JsonSerializer.Serialize(
        new { chat = prompt.Chat, system = prompt.System, max_tokens = prompt.MaxTokens, seed = prompt.Seed, temperature = 0.7, min_p = 0.05, repetition_penalty = 1.08 }, s_plain);

    private static IEnumerable<string> Documents(StoryText text, string prompts, string answers)
    {
        using IEnumerator<string> requests = Lines(prompts).GetEnumerator();
        int number = 0;
        foreach (string line in Lines(answers))
        {
            number++;
            if (!requests.MoveNext()) throw new SlipstreamException($"'{answers}' has more lines than '{prompts}'; give the prompts that were answered.");
            using JsonDocument request = Parse(prompts, number, requests.Current);
            JsonDocument? result = TryParse(line);
            // The last line of a file that is still being written.
            if (result is null) yield break;
            using (result)
            {
                StoryPrompt prompt;
                string answer;
                bool finished;
                try
                {
                    JsonElement asked = request.RootElement, got = result.RootElement;
                    prompt = new StoryPrompt(asked.GetProperty("chat").GetString()!, asked.GetProperty("system").GetString(), asked.GetProperty("max_tokens").GetInt32(), asked.GetProperty("seed").GetUInt64());
                    if (got.GetProperty("seed").GetUInt64() != prompt.Seed) throw new SlipstreamException($"'{answers}' line {number} answers another prompt than line {number} of '{prompts}'; give the prompts that were answered.");
                    (answer, finished) = (got.GetProperty("text").GetString()!, got.GetProperty("finish_reason").GetString() == "stop");
                }
                catch (Exception e) when (e is KeyNotFoundException or InvalidOperationException or FormatException)
                {
                    throw new SlipstreamException($"'{answers}' line {number} and its prompt lack a field; give files of 'corpus prompts' and 'generate --prompts'.", e);
                }
                if (text.Document(prompt, answer, finished) is { } document) yield return document + StoryText.Separator;
            }
        }
    }

    private static HashSet<string> ReadChats(string file)
    {
        HashSet<string> chats = [];
        int number = 0;
        foreach (string line in Lines(file))
        {
            using JsonDocument document = Parse(file, ++number, line);
            if (document.RootElement.TryGetProperty("chat", out JsonElement chat) && chat.GetString() is { } message) chats.Add(message);
        }
        return chats;
    }

    private static IEnumerable<string> Lines(string file) =>
        File.Exists(file) ? File.ReadLines(file).Where(line => line.Length > 0) : throw new SlipstreamException($"'{file}' does not exist; check the path.");

    private static JsonDocument Parse(string file, int number, string line) => TryParse(line) ?? throw new SlipstreamException($"'{file}' line {number} is not a JSON object; give a JSONL file.");

    private static JsonDocument? TryParse(string line)
    {
        try
        {
            JsonDocument document = JsonDocument.Parse(line);
            if (document.RootElement.ValueKind == JsonValueKind.Object) return document;
            document.Dispose();
            return null;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private static void WriteWhole(string path, IEnumerable<string> lines) => DurableFile.Write(path, 0, stream =>
    {
        using StreamWriter writer = new(stream, bufferSize: 1 << 16) { NewLine = "\n" };
        foreach (string line in lines) writer.WriteLine(line);
    });
}
