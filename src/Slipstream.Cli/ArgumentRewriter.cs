using System.CommandLine;

namespace Slipstream.Cli;

/// <summary>
/// Ties every option to its value before parsing (<c>--stop X</c> becomes <c>--stop=X</c>), so that a value is a value however it looks:
/// <c>--prompt --json</c>, <c>--prompt --</c> and <c>--prompt --stop=x</c> are texts, which the parser alone would not see.
/// </summary>
internal static class ArgumentRewriter
{
    /// <summary>Rewrites the arguments for the options of <paramref name="root"/> and its subcommands.</summary>
    /// <exception cref="UsageException">The last option lacks its value.</exception>
    public static string[] Rewrite(Command root, IReadOnlyList<string> arguments)
    {
        HashSet<string> valued = new(StringComparer.Ordinal);
        Collect(root, valued);
        List<string> rewritten = new(arguments.Count);
        for (int i = 0; i < arguments.Count; i++)
        {
            string argument = arguments[i];
            int equals = argument.IndexOf('=', StringComparison.Ordinal);
            string name = equals < 0 ? argument : argument[..equals];
            if (!valued.Contains(name))
            {
                rewritten.Add(argument);
                continue;
            }
            if (equals < 0 && ++i == arguments.Count) throw new UsageException($"{name} needs a value.");
            string value = equals < 0 ? arguments[i] : argument[(equals + 1)..];
            // The parser takes an empty text as a value only where it is an argument of its own.
            if (value.Length > 0) rewritten.Add($"{name}={value}");
            else rewritten.AddRange([name, value]);
        }
        return [.. rewritten];
    }

    private static void Collect(Command command, HashSet<string> valued)
    {
        foreach (Option option in command.Options)
        {
            if (option.Arity.MaximumNumberOfValues == 0 || option.ValueType == typeof(bool)) continue;
            valued.Add(option.Name);
            valued.UnionWith(option.Aliases);
        }
        foreach (Command child in command.Subcommands) Collect(child, valued);
    }
}
