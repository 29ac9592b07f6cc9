namespace Slipstream.Numerics;

/// <summary>Code that is specialised over a weight format which is known by name only at run time; see <see cref="WeightFormats.Accept"/>.</summary>
internal interface IFormatVisitor<out TResult>
{
    /// <summary>Called for formats without integer codes: F32, F16 and BF16.</summary>
    TResult Visit<TFormat>() where TFormat : struct, IWeightFormat;

    /// <summary>Called for block formats.</summary>
    TResult VisitInteger<TFormat>() where TFormat : struct, IIntegerFormat;
}
