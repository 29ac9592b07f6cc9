using System.CommandLine;
using Slipstream.Distillation.Drafts;
using Slipstream.Distillation.Losses;

namespace Slipstream.Trainer.Commands;

/// <summary>The options of <c>distill draft</c> that are not those of any training run.</summary>
internal sealed class DistillSettings
{
    private readonly Option<string> _target = new("--target") { Description = "The model whose draft is made: a folder or a file of any format the engine runs.", Required = true, HelpName = "PATH" };
    private readonly Option<string> _student = new("--student") { Description = "A model to start from (a folder or a GGUF file), or sizes: layers=2,hidden=128,heads=4,kv-heads=2,intermediate=352,vocabulary=8192,init=target|random (vocabulary: a head for only so many tokens, the most frequent of the text). Sizes left out are the target's (a quarter of its layers); layers, embedding and norm are copied where shapes allow.", DefaultValueFactory = _ => "", HelpName = "MODEL|SIZES" };
    private readonly Option<string> _loss = new("--loss") { Description = "forward-kl, reverse-kl, tv (one minus the acceptance rate), jsd, next-token, or a mix such as tv=0.9,next-token=0.1.", DefaultValueFactory = _ => "tv=0.9,forward-kl=0.1", HelpName = "NAME" };
    private readonly Option<double> _temperature = new("--temperature") { Description = "Divides the logits of target and student.", DefaultValueFactory = _ => 1, HelpName = "X" };
    private readonly Option<int> _topK = new("--top-k") { Description = "Tokens of the target's distribution that are kept at a position; the others are one bucket.", DefaultValueFactory = _ => 64, HelpName = "K" };
    private readonly Option<string?> _cache = new("--cache") { Description = "The folder of the teacher cache, which other runs on the same text share; in the output folder where not given.", HelpName = "FOLDER" };
    private readonly Option<int?> _limit = new("--limit-tokens") { Description = "Use only the first tokens of the text.", HelpName = "N" };
    private readonly Option<int> _generate = new("--generate") { Description = "Sequence-level: so many texts that the target itself writes are trained on too; their beginnings are taken from the text.", HelpName = "N" };
    private readonly Option<int> _generatePrompt = new("--generate-prompt") { Description = "Tokens that such a text begins with.", DefaultValueFactory = _ => 16, HelpName = "N" };
    private readonly Option<int> _generateTokens = new("--generate-tokens") { Description = "The most tokens that follow.", DefaultValueFactory = _ => 240, HelpName = "N" };
    private readonly Option<double> _generateTemperature = new("--generate-temperature") { Description = "The temperature of such texts; 0 is greedy.", DefaultValueFactory = _ => 0.8, HelpName = "X" };
    private readonly Option<bool> _generatedOnly = new("--generated-only") { Description = "Train on the target's own texts alone." };
    private readonly Option<string?> _prompts = new("--prompts") { Description = "Prompts to measure on, not in the text: a JSON object a line, with 'prompt' or 'chat' and 'system'. Without it, beginnings of held-out windows.", HelpName = "FILE.jsonl" };
    private readonly Option<string> _measureFormat = new("--measure-format") { Description = "The format drafts are converted to and measured in: Q8_0, another that can be written, or none for the trained weights.", DefaultValueFactory = _ => "Q8_0", HelpName = "NAME" };
    private readonly Option<bool> _noMeasure = new("--no-measure") { Description = "Do not measure." };
    private readonly ParseResult? _result;

    public DistillSettings() { }

    private DistillSettings(DistillSettings options, ParseResult result)
    {
        (_target, _student, _loss, _temperature, _topK, _cache, _limit, _generate) = (options._target, options._student, options._loss, options._temperature, options._topK, options._cache, options._limit, options._generate);
        (_generatePrompt, _generateTokens, _generateTemperature, _generatedOnly, _prompts, _measureFormat, _noMeasure) =
            (options._generatePrompt, options._generateTokens, options._generateTemperature, options._generatedOnly, options._prompts, options._measureFormat, options._noMeasure);
        _result = result;
    }

    public string Target => Get(_target)!;

    /// <summary>The model to start from, or null where sizes are given.</summary>
    public string? StudentModel => Get(_student) is { Length: > 0 } text && Path.Exists(text) ? text : null;

    public StudentOptions Student => StudentOptions.Parse(Get(_student)!);

    public DistillationLoss Loss => DistillationLoss.Parse(Get(_loss)!, Get(_temperature));

    public int TopK => Get(_topK) is > 0 and int k ? k : throw new SlipstreamException($"--top-k is {Get(_topK)}; it must be at least 1.");

    public string? Cache => Get(_cache);

    public int? Limit => Get(_limit) is { } limit && limit < 1 ? throw new SlipstreamException($"--limit-tokens is {limit}; it must be at least 1.") : Get(_limit);

    public GeneratedCorpusOptions? Generate(ulong seed)
    {
        bool only = Get(_generatedOnly);
        if (Get(_generate) == 0) return only ? throw new SlipstreamException("--generated-only needs --generate with the number of texts.") : null;
        return new GeneratedCorpusOptions(Get(_generate), Get(_generatePrompt), Get(_generateTokens), Get(_generateTemperature), seed).Checked();
    }

    public bool GeneratedOnly => Get(_generatedOnly);

    public string? Prompts => Get(_prompts);

    public string MeasureFormat => Get(_measureFormat)!;

    public bool Measures => !Get(_noMeasure);

    public void AddTo(Command command)
    {
        foreach (Option option in (Option[])[_target, _student, _loss, _temperature, _topK, _cache, _limit, _generate, _generatePrompt, _generateTokens, _generateTemperature, _generatedOnly, _prompts, _measureFormat, _noMeasure]) command.Options.Add(option);
    }

    public DistillSettings Of(ParseResult result) => new(this, result);

    private T? Get<T>(Option<T> option) => _result!.GetValue(option);
}
