// PMD over a batch of Java files in one virtual machine.
//
//   arguments: rule sets; standard input: a path a line
//   standard output: a JSON line per file, in order, as soon as it is done:
//     {"messages": [[rule, category, line, column, text], ...], "cyclomatic": [...], "cognitive": [...]}
//     {"failed": reason}
//
// What code asks PMD to overlook (NOPMD, @SuppressWarnings("PMD")) is reported like the rest. A file that
// a rule crashes on has failed as a whole: the other rules' messages alone would look like fewer faults.

import com.google.gson.Gson;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import net.sourceforge.pmd.PMDConfiguration;
import net.sourceforge.pmd.PmdAnalysis;
import net.sourceforge.pmd.lang.LanguageRegistry;
import net.sourceforge.pmd.lang.document.TextFile;
import net.sourceforge.pmd.lang.java.ast.ASTExecutableDeclaration;
import net.sourceforge.pmd.lang.java.metrics.JavaMetrics;
import net.sourceforge.pmd.lang.java.rule.AbstractJavaRule;
import net.sourceforge.pmd.lang.java.ast.JavaNode;
import net.sourceforge.pmd.lang.metrics.MetricsUtil;
import net.sourceforge.pmd.lang.rule.Rule;
import net.sourceforge.pmd.lang.rule.RuleSet;
import net.sourceforge.pmd.reporting.FileAnalysisListener;
import net.sourceforge.pmd.reporting.GlobalAnalysisListener;
import net.sourceforge.pmd.reporting.Report;
import net.sourceforge.pmd.reporting.RuleViolation;

public class PmdBatch {
    private static final Gson GSON = new Gson();
    private static final String METRICS = "PolytuneMetrics";

    /** Reports every method's complexity, by PMD's own metrics, as a violation of its own. */
    public static class Metrics extends AbstractJavaRule {
        public Metrics() {
            setName(METRICS);
            setMessage("{0} {1}");
            setLanguage(LanguageRegistry.PMD.getLanguageById("java"));
            setRuleSetName(METRICS);
        }

        @Override
        public Object visitJavaNode(JavaNode node, Object data) {
            if (node instanceof ASTExecutableDeclaration) {
                ASTExecutableDeclaration method = (ASTExecutableDeclaration) node;
                asCtx(data).addViolation(
                        method,
                        String.valueOf(MetricsUtil.computeMetric(JavaMetrics.CYCLO, method)),
                        String.valueOf(MetricsUtil.computeMetric(JavaMetrics.COGNITIVE_COMPLEXITY, method)));
            }
            return super.visitJavaNode(node, data);
        }
    }

    /** Gathers what is found in one file, and prints it when the file is done. */
    private static final class Answer implements FileAnalysisListener {
        private final PrintStream answers;
        private final List<Object> messages = new ArrayList<>();
        private final List<Integer> cyclomatic = new ArrayList<>();
        private final List<Integer> cognitive = new ArrayList<>();
        private String failed;

        Answer(PrintStream answers) {
            this.answers = answers;
        }

        @Override
        public void onRuleViolation(RuleViolation violation) {
            Rule rule = violation.getRule();
            if (rule.getName().equals(METRICS)) {
                String[] numbers = violation.getDescription().split(" ");
                cyclomatic.add(Integer.valueOf(numbers[0]));
                cognitive.add(Integer.valueOf(numbers[1]));
                return;
            }
            messages.add(List.of(
                    rule.getName(), rule.getRuleSetName(), violation.getBeginLine(), violation.getBeginColumn(),
                    violation.getDescription()));
        }

        @Override
        public void onSuppressedRuleViolation(Report.SuppressedViolation suppressed) {
            onRuleViolation(suppressed.getRuleViolation());
        }

        @Override
        public void onError(Report.ProcessingError error) {
            failed = error.getMsg();
        }

        @Override
        public void close() {
            Map<String, Object> answer = new LinkedHashMap<>();
            if (failed == null) {
                answer.put("messages", messages);
                answer.put("cyclomatic", cyclomatic);
                answer.put("cognitive", cognitive);
            } else {
                answer.put("failed", failed);
            }
            byte[] line = (GSON.toJson(answer) + "\n").getBytes(StandardCharsets.UTF_8);
            answers.write(line, 0, line.length);
            answers.flush();
        }
    }

    private static GlobalAnalysisListener listener(PrintStream answers) {
        return new GlobalAnalysisListener() {
            @Override
            public FileAnalysisListener startFileAnalysis(TextFile file) {
                return new Answer(answers);
            }

            @Override
            public void close() {
                // Nothing is held open.
            }
        };
    }

    private static void analyze(String[] ruleSets, List<String> files, PrintStream answers) {
        PMDConfiguration configuration = new PMDConfiguration();
        // Files are sorted by path, and one thread keeps that order, so that a file that ends the machine is known by its place.
        configuration.setThreads(0);
        configuration.setIgnoreIncrementalAnalysis(true);
        for (String ruleSet : ruleSets) {
            configuration.addRuleSet(ruleSet);
        }
        try (PmdAnalysis analysis = PmdAnalysis.create(configuration)) {
            analysis.addRuleSet(RuleSet.forSingleRule(new Metrics()));
            for (String file : files) {
                analysis.files().addFile(Path.of(file));
            }
            analysis.addListener(listener(answers));
            analysis.performAnalysis();
        }
    }

    public static void main(String[] arguments) throws Exception {
        PrintStream answers = System.out;
        System.setOut(new PrintStream(OutputStream.nullOutputStream()));
        List<String> files = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8)).lines().toList();
        // Deeply nested code is parsed by recursion, which a thread's usual stack does not hold.
        Thread thread = new Thread(null, () -> analyze(arguments, files, answers), "pmd", 512L << 20);
        thread.start();
        thread.join();
    }
}
