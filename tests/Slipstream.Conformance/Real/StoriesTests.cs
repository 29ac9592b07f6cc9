using Slipstream.Analysis;
using Slipstream.Numerics;
using Slipstream.TestSupport;

namespace Slipstream.Conformance.Real;

/// <summary>A trained model of 260,000 parameters: small enough for every run, real enough to have a perplexity.</summary>
public sealed class StoriesTests
{
    [Fact]
    public void Perplexity_on_stories_is_the_known_one()
    {
        string folder = Directory.CreateTempSubdirectory("slipstream-stories").FullName;
        try
        {
            Llama2C.Convert(Assets.Path("models", "stories260K", "stories260K.bin"), folder);
            using ModelEvaluator evaluator = ModelEvaluator.Load(folder, new ModelOptions { Activations = ActivationPrecision.F32 });
            int[] tokens = Llama2C.Encode(Assets.Path("models", "stories260K", "tok512.bin"), 512, File.ReadAllText(Assets.Path("text", "tinystories", "sample.txt")))[..10_800];
            PerplexityResult result = evaluator.Perplexity(tokens, 512, 256);
            Assert.InRange(result.Perplexity, 4.03, 4.11);
            Assert.Equal(10_799, result.Scored);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
