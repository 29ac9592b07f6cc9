// A drafter of one's own: it guesses that the last token repeats. The output cannot change, only the speed.
// Usage: dotnet run -- path/to/model.gguf "Count: 1, 1, 1, 1,"
using Slipstream;
using Slipstream.Scheduling;
using Slipstream.Speculation;

using LanguageModel model = LanguageModel.Load(args[0], new ModelOptions { Drafter = new DrafterOptions.Custom(_ => new RepeatDrafter()) });
GenerationResult result = await model.GenerateAsync(args[1], new GenerationOptions { MaxNewTokens = 64 });
Console.WriteLine(result.Text);
Console.WriteLine($"{result.Speculation.Accepted} of {result.Speculation.Drafted} guesses stood: {result.Speculation.TokensPerVerification:F2} tokens a step.");

internal sealed class RepeatDrafter : IDrafter
{
    public string Name => "repeat";

    public long Parameters => 0;

    public (long Weights, long Cache) MemoryBytes => default;

    public void Draft(ReadOnlySpan<DraftRequest> requests)
    {
        foreach (DraftRequest request in requests)
            for (int i = 0, parent = -1; i < request.Budget; i++)
                parent = request.Tree.Add(request.Sequence.Tokens[^1], parent);
    }

    public void Release(Sequence sequence) { }

    public void Dispose() { }
}
