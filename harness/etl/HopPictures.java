import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.hop.core.HopEnvironment;
import org.apache.hop.core.variables.IVariables;
import org.apache.hop.core.variables.Variables;
import org.apache.hop.metadata.api.IHopMetadataProvider;
import org.apache.hop.metadata.util.HopMetadataUtil;
import org.apache.hop.pipeline.PipelineMeta;
import org.apache.hop.pipeline.PipelineSvgPainter;
import org.apache.hop.workflow.WorkflowMeta;
import org.apache.hop.workflow.WorkflowSvgPainter;

/** Has Hop draw files as its editor shows them: FILE PICTURE FILE PICTURE … Run by hop_pictures.py on Hop's classpath. */
public class HopPictures {
  public static void main(String[] files) throws Exception {
    HopEnvironment.init();
    IVariables variables = Variables.getADefaultVariableSpace();
    IHopMetadataProvider metadata = HopMetadataUtil.getStandardHopMetadataProvider(variables);
    for (int i = 0; i + 1 < files.length; i += 2) {
      String drawn =
          files[i].endsWith(".hpl")
              ? PipelineSvgPainter.generatePipelineSvg(new PipelineMeta(files[i], metadata, variables), 1.0f, variables)
              : WorkflowSvgPainter.generateWorkflowSvg(new WorkflowMeta(variables, files[i], metadata), 1.0f, variables);
      Files.writeString(Path.of(files[i + 1]), drawn);
    }
    System.exit(0);
  }
}
