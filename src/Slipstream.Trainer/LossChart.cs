using System.Text;
using Slipstream.Distillation.Training;
using static Slipstream.Trainer.Texts;

namespace Slipstream.Trainer;

/// <summary>The curve of a run as a picture: training loss, smoothed, and held-out loss over the steps, as SVG.</summary>
/// <remarks>Two lines and two axes need no library, nor the fonts and native parts that one would bring.</remarks>
internal static class LossChart
{
    private const int Width = 860, Height = 460, Left = 64, Right = 24, Top = 48, Bottom = 52, Points = 600;
    private const string Training = "#7aa6d8", HeldOut = "#d1495b", Ink = "#333333", Grid = "#e2e2e2";

    /// <summary>Draws a report.</summary>
    public static string Svg(TrainingReport report, string title)
    {
        List<(double X, double Y)> training = Smooth(report.Losses);
        List<(double X, double Y)> heldOut = [.. report.Evaluations.Where(point => double.IsFinite(point.Loss)).Select(point => ((double)point.Step, point.Loss))];
        double steps = Math.Max(1, report.Steps), low = double.PositiveInfinity, high = double.NegativeInfinity;
        foreach ((_, double y) in training.Concat(heldOut)) (low, high) = (Math.Min(low, y), Math.Max(high, y));
        if (!double.IsFinite(low)) (low, high) = (0, 1);
        double step = Step(high - low);
        (low, high) = (Math.Floor(low / step) * step, Math.Max(Math.Ceiling(high / step), Math.Floor(low / step) + 1) * step);
        StringBuilder svg = new();
        svg.Append(Invariant($"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {Width} {Height}\" width=\"{Width}\" height=\"{Height}\" font-family=\"sans-serif\" font-size=\"13\" fill=\"{Ink}\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"));
        svg.Append(Invariant($"<text x=\"{Left}\" y=\"20\" font-size=\"15\">{Escape(title)}</text>\n"));
        for (double y = low; y <= high + step / 2; y += step)
            svg.Append(Invariant($"<path d=\"M{Left} {Y(y):0.0}H{Width - Right}\" stroke=\"{Grid}\"/><text x=\"{Left - 8}\" y=\"{Y(y) + 4:0.0}\" text-anchor=\"end\">{y:0.###}</text>\n"));
        double stride = Math.Max(1, Step(steps));
        for (double x = 0; x <= steps; x += stride)
            svg.Append(Invariant($"<path d=\"M{X(x):0.0} {Height - Bottom}v5\" stroke=\"{Ink}\"/><text x=\"{X(x):0.0}\" y=\"{Height - Bottom + 20}\" text-anchor=\"middle\">{x:0}</text>\n"));
        svg.Append(Invariant($"<text x=\"{(Left + Width - Right) / 2}\" y=\"{Height - 10}\" text-anchor=\"middle\">step</text><text transform=\"translate(16 {Height / 2}) rotate(-90)\" text-anchor=\"middle\">nats a token</text>\n"));
        Line(training, Training, 1.5);
        Line(heldOut, HeldOut, 2);
        if (heldOut.Count > 0)
        {
            foreach ((double x, double y) in heldOut) svg.Append(Invariant($"<circle cx=\"{X(x):0.0}\" cy=\"{Y(y):0.0}\" r=\"2.5\" fill=\"{HeldOut}\"/>\n"));
            foreach ((double x, double y) in heldOut.Where(point => point.X == report.BestStep)) svg.Append(Invariant($"<circle cx=\"{X(x):0.0}\" cy=\"{Y(y):0.0}\" r=\"6\" fill=\"none\" stroke=\"{HeldOut}\"/>\n"));
        }
        svg.Append(Invariant($"<path d=\"M{Left} 36h24\" stroke=\"{Training}\" stroke-width=\"3\"/><text x=\"{Left + 32}\" y=\"40\">training</text>\n"));
        if (heldOut.Count > 0) svg.Append(Invariant($"<path d=\"M{Left + 120} 36h24\" stroke=\"{HeldOut}\" stroke-width=\"3\"/><text x=\"{Left + 152}\" y=\"40\">held out, the best {report.BestLoss:0.000} at step {report.BestStep}</text>\n"));
        return svg.Append("</svg>\n").ToString();

        double X(double x) => Left + (Width - Left - Right) * x / steps;
        double Y(double y) => Height - Bottom - (Height - Top - Bottom) * (y - low) / (high - low);
        void Line(List<(double X, double Y)> points, string colour, double width)
        {
            if (points.Count == 0) return;
            svg.Append(Invariant($"<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\" points=\""));
            foreach ((double x, double y) in points) svg.Append(Invariant($"{X(x):0.0},{Y(y):0.0} "));
            svg.Append("\"/>\n");
        }
    }

    // The means of equal parts: a line of thousands of noisy points would hide its course.
    private static List<(double X, double Y)> Smooth(IReadOnlyList<float> losses)
    {
        List<(double X, double Y)> points = [];
        int size = Math.Max(1, losses.Count / Points);
        for (int i = 0; i < losses.Count; i += size)
        {
            float[] part = [.. losses.Skip(i).Take(size).Where(float.IsFinite)];
            if (part.Length > 0) points.Add((i + (part.Length + 1) / 2.0, part.Average()));
        }
        return points;
    }

    // About six marks, at 1, 2 or 5 times a power of ten.
    private static double Step(double range)
    {
        double rough = Math.Max(range, 1e-6) / 6, power = Math.Pow(10, Math.Floor(Math.Log10(rough)));
        return (rough / power) switch { <= 1 => 1, <= 2 => 2, <= 5 => 5, _ => 10 } * power;
    }

    private static string Escape(string text) => text.Replace("&", "&amp;", StringComparison.Ordinal).Replace("<", "&lt;", StringComparison.Ordinal);
}
