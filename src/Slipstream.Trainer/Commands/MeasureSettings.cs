using System.CommandLine;
using System.Globalization;
using Slipstream.Distillation.Drafts.Measuring;

namespace Slipstream.Trainer.Commands;

/// <summary>The options of a measurement, the same for <c>distill draft</c> and <c>distill measure</c>.</summary>
internal sealed class MeasureSettings
{
    private readonly Option<string> _lengths = new("--draft-lengths") { Description = "Draft lengths to measure: numbers and ranges.", DefaultValueFactory = _ => "1-6", HelpName = "LIST" };
    private readonly Option<string> _temperatures = new("--measure-temperatures") { Description = "Temperatures to measure at; 0 is greedy.", DefaultValueFactory = _ => "0,0.8", HelpName = "LIST" };
    private readonly Option<int> _maxTokens = new("--max-tokens") { Description = "The most tokens of a measured answer.", DefaultValueFactory = _ => new MeasureOptions().MaxTokens, HelpName = "N" };
    private readonly Option<int> _repeats = new("--repeat") { Description = "How often each is measured; medians count.", DefaultValueFactory = _ => new MeasureOptions().Repeats, HelpName = "N" };
    private readonly Option<int> _maxPrompts = new("--max-prompts") { Description = "The most prompts measured.", DefaultValueFactory = _ => new MeasureOptions().MaxPrompts, HelpName = "N" };

    /// <summary>Adds them to a command.</summary>
    public void AddTo(Command command)
    {
        foreach (Option option in (ReadOnlySpan<Option>)[_lengths, _temperatures, _maxTokens, _repeats, _maxPrompts]) command.Add(option);
    }

    /// <summary>Reads them.</summary>
    /// <exception cref="SlipstreamException">A value is out of range.</exception>
    public MeasureOptions Of(ParseResult result, int threads) => new MeasureOptions
    {
        Lengths = Lengths(result.GetValue(_lengths)!), Temperatures = Temperatures(result.GetValue(_temperatures)!), MaxTokens = result.GetValue(_maxTokens),
        Repeats = result.GetValue(_repeats), MaxPrompts = result.GetValue(_maxPrompts), Threads = threads,
    }.Checked();

    private static List<int> Lengths(string text)
    {
        List<int> lengths = [];
        foreach (string part in text.Split(',', StringSplitOptions.TrimEntries))
        {
            string[] ends = part.Split('-', 2);
            if (!int.TryParse(ends[0], NumberStyles.None, CultureInfo.InvariantCulture, out int first) || !int.TryParse(ends[^1], NumberStyles.None, CultureInfo.InvariantCulture, out int last) || last < first || last > 64)
                throw new SlipstreamException($"--draft-lengths is '{text}'; it must be numbers from 1 to 64 and ranges of them, such as 1-6 or 1,2,4.");
            lengths.AddRange(Enumerable.Range(first, last - first + 1));
        }
        return lengths;
    }

    private static List<double> Temperatures(string text)
    {
        List<double> temperatures = [];
        foreach (string part in text.Split(',', StringSplitOptions.TrimEntries))
            temperatures.Add(double.TryParse(part, NumberStyles.Float, CultureInfo.InvariantCulture, out double value) ? value : throw new SlipstreamException($"--measure-temperatures is '{text}'; it must be numbers such as 0,0.8."));
        return temperatures;
    }
}
