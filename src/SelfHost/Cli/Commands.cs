using System.CommandLine;
using Platform.EmbeddedPostgres;
using Platform.Messaging;

namespace Platform.SelfHost.Cli;

/// <summary>Makes commands that share the global options and one way to fail.</summary>
internal sealed class Commands(GlobalOptions options)
{
    private readonly Dictionary<Command, IReadOnlyList<string>> examples = [];

    /// <summary>Command lines that <c>--help</c> shows, without the program's name.</summary>
    public IReadOnlyList<string> ExamplesOf(Command command) => examples.GetValueOrDefault(command, []);

    /// <param name="symbols">Arguments and options of this command, arguments in order.</param>
    /// <param name="shown">Examples, without the program's name. A test runs them.</param>
    /// <param name="execute">Does it; returns an <see cref="ExitCode"/>.</param>
    public Command Add(string name, string description, IReadOnlyList<Symbol> symbols, IReadOnlyList<string> shown, Func<ParseResult, Settings, CancellationToken, Task<int>> execute)
    {
        var command = Add(name, description, symbols, execute);
        examples.Add(command, shown);
        return command;
    }

    public Command Add(string name, string description, IReadOnlyList<Symbol> symbols, Func<ParseResult, Settings, CancellationToken, Task<int>> execute)
    {
        var command = new Command(name, description);
        foreach (var symbol in symbols)
        {
            if (symbol is Argument argument) { command.Arguments.Add(argument); }
            if (symbol is Option option) { command.Options.Add(option); }
        }

        command.SetAction((parse, stop) => Guarded(parse, execute, stop));
        return command;
    }

    private async Task<int> Guarded(ParseResult parse, Func<ParseResult, Settings, CancellationToken, Task<int>> execute, CancellationToken stop)
    {
        var terminal = options.TerminalOf(parse);
        try
        {
            return await execute(parse, options.Read(parse), stop);
        }
        catch (ProblemException e)
        {
            const string Hint = "`platform runs` lists them.";
            terminal.Fail(e.Problem.Code, e.Problem.Code == "run.not-found" && !e.Problem.Detail.Contains(Hint, StringComparison.Ordinal) ? $"{e.Problem.Detail} {Hint}" : e.Problem.Detail);
            return ExitCode.Usage;
        }
        catch (ClusterException e)
        {
            terminal.Fail("db.unavailable", e.Message);
            return ExitCode.Unavailable;
        }
        catch (StoreUnavailableException e)
        {
            terminal.Fail("store.unavailable", e.Message);
            return ExitCode.Unavailable;
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            terminal.Fail("interrupted", "Stopped before the end. What was recorded is kept.");
            return ExitCode.Interrupted;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            terminal.Fail("io", e.Message);
            return ExitCode.Usage;
        }
        // The process's edge: what nobody expected is shown once, with its place, and answered with its own code.
        catch (Exception e)
        {
            terminal.Fail("internal", $"{e.Message}\nThis is a fault of platform. Please report it with this text:\n{e}");
            return ExitCode.Internal;
        }
    }
}
