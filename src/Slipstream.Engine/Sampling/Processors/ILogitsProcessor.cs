namespace Slipstream.Sampling;

/// <summary>Changes logits in the light of the tokens before: a penalty, a bias or a ban. Stateless; allocates nothing.</summary>
internal interface ILogitsProcessor
{
    /// <summary>Changes the logits in place; −∞ excludes a token.</summary>
    /// <param name="logits"><c>[vocabulary]</c>.</param>
    /// <param name="context">What stands before.</param>
    void Process(Span<float> logits, in TokenContext context);
}
