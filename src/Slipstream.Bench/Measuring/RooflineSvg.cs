using System.Globalization;
using System.Net;
using System.Text;
using Slipstream.Models;

namespace Slipstream.Bench;

/// <summary>The roofline of a run (Williams et al. 2009): operations a second over operations a byte, each workload a point under the machine's measured ceilings.</summary>
/// <remarks>Written by hand: chart libraries bring native parts of many megabytes, for each system, into a tool of four.</remarks>
internal static class RooflineSvg
{
    private const double Width = 960, Height = 600, Left = 80, Right = 250, Top = 60, Bottom = 60;

    /// <summary>Draws it into a file.</summary>
    /// <exception cref="SlipstreamException">The file cannot be written.</exception>
    public static void Write(string path, BenchReport report)
    {
        byte[] svg = Encoding.UTF8.GetBytes(Draw(report));
        WholeFile.Write(path, svg.Length, stream => stream.Write(svg));
    }

    /// <summary>Draws it.</summary>
    /// <param name="report">The run.</param>
    public static string Draw(BenchReport report)
    {
        BenchResult[] results = [.. report.Results.Where(r => r.Operations > 0 && r.BytesRead > 0)];
        double bandwidth = report.ReadBandwidth.PerSecond, int8 = report.PeakInt8.PerSecond, f32 = report.PeakF32.PerSecond, top = Math.Max(int8, f32);
        double[] intensities = [.. results.Select(Intensity), top / bandwidth], rates = [.. results.Select(Rate), top];
        // Some room beside the outermost points.
        double least = intensities.Min() / 2;
        Axis x = new(least, intensities.Max() * 4, Left, Width - Right), y = new(Math.Min(rates.Min() / 2, bandwidth * least), top * 1.5, Height - Bottom, Top);
        StringBuilder svg = new();
        svg.Append(CultureInfo.InvariantCulture, $"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {Width} {Height}\" font-family=\"sans-serif\" font-size=\"12\">\n");
        svg.Append("<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n");
        Text(svg, Left, 24, $"{report.Model}, {report.Format}, {report.Threads} {(report.Threads == 1 ? "thread" : "threads")}", "font-size=\"15\" font-weight=\"bold\"");
        Text(svg, Left, 42, $"{report.Machine.Cpu}; commit {report.Machine.Commit ?? "not known"}", "fill=\"#666666\"");
        foreach (double at in x.Decades) Grid(svg, x.At(at), Top, x.At(at), Height - Bottom, Label(at), x.At(at), Height - Bottom + 18, "middle");
        foreach (double at in y.Decades) Grid(svg, Left, y.At(at), Width - Right, y.At(at), Label(at / 1e9), Left - 8, y.At(at) + 4, "end");
        Text(svg, (Left + Width - Right) / 2, Height - 16, "operations for each byte read", "text-anchor=\"middle\"");
        Text(svg, 18, (Top + Height - Bottom) / 2, "billions of operations a second", string.Create(CultureInfo.InvariantCulture, $"text-anchor=\"middle\" transform=\"rotate(-90 18 {(Top + Height - Bottom) / 2})\""));
        Roof(svg, x, y, bandwidth, int8, "#1f77b4", string.Create(CultureInfo.InvariantCulture, $"8-bit integers, {int8 / 1e9:0} GOP/s"));
        Roof(svg, x, y, bandwidth, f32, "#7f7f7f", string.Create(CultureInfo.InvariantCulture, $"32-bit floats, {f32 / 1e9:0} GFLOP/s"));
        if (report.PeakBf16 is { } bf16) Roof(svg, x, y, bandwidth, bf16.PerSecond, "#17becf", string.Create(CultureInfo.InvariantCulture, $"16-bit floats, {bf16.PerSecond / 1e9:0} GFLOP/s"));
        Text(svg, x.At(x.Least) + 6, y.At(bandwidth * x.Least) - 8, string.Create(CultureInfo.InvariantCulture, $"memory, {bandwidth / 1e9:0.0} GB/s"), "fill=\"#444444\"");
        for (int i = 0; i < results.Length; i++)
        {
            string colour = results[i].Work.Kind switch { WorkKind.Prefill => "#d62728", WorkKind.Decode => "#2ca02c", WorkKind.Verify => "#9467bd", _ => "#ff7f0e" };
            double cx = x.At(Intensity(results[i])), cy = y.At(Rate(results[i])), legend = Top + 16 * (i + 1);
            svg.Append(CultureInfo.InvariantCulture, $"<circle cx=\"{cx:0.#}\" cy=\"{cy:0.#}\" r=\"5\" fill=\"{colour}\"/>\n");
            Text(svg, cx + 9, cy + 4, Short(i + 1), $"fill=\"{colour}\"");
            Text(svg, Width - Right + 12, legend, $"{Short(i + 1)}  {results[i].Work}: {Short(100 * results[i].RooflineFraction)} %", $"fill=\"{colour}\"");
        }
        svg.Append("</svg>\n");
        return svg.ToString();
    }

    private static double Intensity(BenchResult result) => result.Operations / result.BytesRead;

    private static double Rate(BenchResult result) => result.Operations / (result.Milliseconds.Median / 1000);

    private static void Roof(StringBuilder svg, Axis x, Axis y, double bandwidth, double peak, string colour, string name)
    {
        double knee = Math.Clamp(peak / bandwidth, x.Least, x.Most);
        svg.Append(CultureInfo.InvariantCulture, $"<path d=\"M{x.At(x.Least):0.#} {y.At(bandwidth * x.Least):0.#}L{x.At(knee):0.#} {y.At(Math.Min(peak, bandwidth * knee)):0.#}L{x.At(x.Most):0.#} {y.At(peak):0.#}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\n");
        Text(svg, x.At(x.Most) - 4, y.At(peak) - 6, name, $"text-anchor=\"end\" fill=\"{colour}\"");
    }

    private static void Grid(StringBuilder svg, double x0, double y0, double x1, double y1, string label, double labelX, double labelY, string anchor)
    {
        svg.Append(CultureInfo.InvariantCulture, $"<path d=\"M{x0:0.#} {y0:0.#}L{x1:0.#} {y1:0.#}\" stroke=\"#dddddd\"/>\n");
        Text(svg, labelX, labelY, label, $"text-anchor=\"{anchor}\" fill=\"#666666\"");
    }

    private static void Text(StringBuilder svg, double x, double y, string text, string attributes)
        => svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{x:0.#}\" y=\"{y:0.#}\" {attributes}>{WebUtility.HtmlEncode(text)}</text>\n");

    private static string Label(double value) => value.ToString("#,0.####", CultureInfo.InvariantCulture);

    private static string Short(double value) => value.ToString("0", CultureInfo.InvariantCulture);

    /// <summary>A logarithmic axis.</summary>
    private sealed class Axis(double least, double most, double from, double to)
    {
        public double Least => least;

        public double Most => most;

        public IEnumerable<double> Decades
        {
            get
            {
                for (double at = Math.Pow(10, Math.Ceiling(Math.Log10(least))); at <= most; at *= 10) yield return at;
            }
        }

        public double At(double value) => from + (to - from) * Math.Log(value / least) / Math.Log(most / least);
    }
}
